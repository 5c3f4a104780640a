// node main.js API PART: calls every public method of one part of the SDK's Client and looks for
// its effect with another call. Fails for a method that nothing exercises.
import strict from "node:assert/strict";
import { Client } from "@langchain/langgraph-sdk";
import { assistants } from "./assistants.js";
import { crons } from "./crons.js";
import { runs } from "./runs.js";
import { store } from "./store.js";
import { threads } from "./threads.js";

const EXERCISES = { assistants, crons, runs, store, threads };
const [apiUrl, chosen] = process.argv.slice(2);

/** What the SDK offers: a name that begins with `~` is its own business. */
const parts = (client) =>
  Object.keys(client).filter((name) => !name.startsWith("~") && typeof client[name] === "object");

/** Of its class and those above, but not of the last: that is what all parts are made with. */
function methods(part) {
  const names = new Set();
  let one = Object.getPrototypeOf(part);
  while (Object.getPrototypeOf(one) !== Object.prototype) {
    for (const name of Object.getOwnPropertyNames(one)) names.add(name);
    one = Object.getPrototypeOf(one);
  }
  names.delete("constructor");
  return [...names];
}

/** A client that notes in `called` which methods were called. */
function watched(called) {
  const client = new Client({ apiUrl, apiKey: null });
  for (const part of parts(client)) {
    for (const name of methods(client[part])) {
      const original = client[part][name];
      client[part][name] = function (...given) {
        called.add(`${part}.${name}`);
        return original.apply(this, given);
      };
    }
  }
  return client;
}

/** What is wrong with how a method is exercised; nothing when all is well. */
async function complaint(part, name) {
  const exercise = EXERCISES[part]?.[name];
  if (exercise === undefined) return "nothing exercises it";
  const called = new Set();
  let asserted = 0;
  const assert = new Proxy(strict, {
    get: (target, key) => (...given) => {
      asserted += 1;
      return target[key](...given);
    },
  });
  try {
    await exercise(watched(called), assert);
  } catch (error) {
    const where = error.stack.split("\n").find((line) => line.includes(`/sdk/${part}.js`)) ?? "";
    return `${error.message}\n${where}`;
  }
  if (!called.delete(`${part}.${name}`)) return "its exercise never calls it";
  if (called.size === 0) return "its exercise asks no other method what came of it";
  if (asserted === 0) return "its exercise asserts nothing";
}

const client = new Client({ apiUrl, apiKey: null });
const known = parts(client).toSorted();
strict.deepEqual(known, Object.keys(EXERCISES).toSorted(), "the SDK has other parts");
const names = methods(client[chosen]);
const gone = Object.keys(EXERCISES[chosen]).filter((name) => !names.includes(name));
strict.deepEqual(gone, [], "the SDK has these methods no more");

const outcomes = await Promise.all(
  names.map(async (name) => [name, await complaint(chosen, name)]),
);
for (const [name, wrong] of outcomes) {
  console.log(wrong ? `FAILED ${chosen}.${name}: ${wrong}` : `passed ${chosen}.${name}`);
}
process.exit(outcomes.some(([, wrong]) => wrong) ? 1 : 0);
