// What the exercises have in common.
import { randomUUID } from "node:crypto";

/** A name that no other exercise uses. */
export const fresh = () => `js-${randomUUID()}`;

export const human = (content) => ({ messages: [{ type: "human", content }] });

/** Everything that a stream yields. */
export async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export const missing = { message: /HTTP 404/ };
