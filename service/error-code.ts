/** The code of a system error, or its text if it has none. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
