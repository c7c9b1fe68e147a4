import { type AdminClient, AdminError, createAdminClient } from "../admin-client.ts";
import { UserError } from "./errors.ts";

/** @throws UserError with what the node at this operator API says, or why it says nothing */
export async function withAdmin(admin: string, act: (client: AdminClient) => Promise<void>): Promise<void> {
  try {
    await act(createAdminClient(admin));
  } catch (error) {
    throw error instanceof AdminError ? new UserError(error.message) : error;
  }
}
