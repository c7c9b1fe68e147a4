/** How commands print unless they are given another way. */
export const writeOut = (text: string): void => {
  process.stdout.write(text);
};
