/** An error that a server has answered with; the client library's own class is not loaded for it. */
export function createReplyError(message: string): Error {
  const error = new Error(message);
  error.name = "ReplyError";
  return error;
}

export function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}
