import { all, human, missing } from "./asking.js";

const REPLY = "Hello there dear user";
const slow = { input: { mode: "slow", secs: 60 } };

const thread = async (client) => (await client.threads.create()).thread_id;

const under = async (client, id, run, wanted) => {
  while ((await client.runs.get(id, run)).status !== wanted);
};

export const runs = {
  async stream(client, assert) {
    const id = await thread(client);
    const created = [];
    const payload = { input: human("hi"), streamMode: ["messages-tuple", "values"] };
    const parts = await all(
      client.runs.stream(id, "chat", { ...payload, onRunCreated: (run) => created.push(run) }),
    );
    const [told, ...events] = parts;
    assert.deepEqual([told.event, told.data.run_id], ["metadata", created[0].run_id]);
    const tokens = events.filter((part) => part.event === "messages").map((part) => part.data[0]);
    assert.equal(tokens.map((token) => token.content).join(""), REPLY);
    assert.deepEqual(events.at(-1).data, (await client.threads.getState(id)).values);
  },

  async create(client, assert) {
    const id = await thread(client);
    const created = [];
    const run = await client.runs.create(id, "chat", {
      input: human("hi"), metadata: { a: 1 }, onRunCreated: (told) => created.push(told),
    });
    assert.deepEqual(created, [{ run_id: run.run_id, thread_id: id }]);
    await client.runs.join(id, run.run_id);
    const found = await client.runs.get(id, run.run_id);
    assert.equal(found.status, "success");
    assert.equal(found.metadata.a, 1);
    assert.equal((await client.threads.getState(id)).values.messages.at(-1).content, REPLY);
  },

  async createBatch(client, assert) {
    const made = await client.runs.createBatch(
      ["one", "two"].map((said) => ({
        assistantId: "chat", input: human(said), on_completion: "keep",
      })),
    );
    assert.equal(new Set(made.map((run) => run.thread_id)).size, 2);
    for (const [number, run] of made.entries()) {
      await client.runs.join(run.thread_id, run.run_id);
      const { values } = await client.threads.getState(run.thread_id);
      assert.deepEqual(values.messages.map((said) => said.content), [["one", "two"][number], REPLY]);
    }
  },

  async wait(client, assert) {
    const id = await thread(client);
    const values = await client.runs.wait(id, "chat", { input: human("hi") });
    assert.equal(values.messages.at(-1).content, REPLY);
    assert.deepEqual((await client.threads.getState(id)).values, values);
    const boom = { input: { mode: "boom" } };
    await assert.rejects(client.runs.wait(id, "work", boom), { message: /^ValueError: boom/ });
    const told = await client.runs.wait(id, "work", { ...boom, raiseError: false });
    assert.equal(told.__error__.error, "ValueError");
  },

  async list(client, assert) {
    const id = await thread(client);
    const first = await client.runs.create(id, "chat", { input: human("hi") });
    await client.runs.join(id, first.run_id);
    await client.runs.wait(id, "work", { input: { mode: "boom" }, raiseError: false });
    const listed = await client.runs.list(id);
    assert.deepEqual(listed.map((run) => run.status), ["error", "success"]);
    const failed = await client.runs.list(id, { status: "error", select: ["status"] });
    assert.deepEqual(failed, [{ status: "error" }]);
    assert.equal((await client.runs.list(id, { limit: 1, offset: 1 }))[0].run_id, first.run_id);
  },

  async get(client, assert) {
    const id = await thread(client);
    const run = await client.runs.create(id, "work", { input: { mode: "done" } });
    await client.runs.join(id, run.run_id);
    const { status, assistant_id, thread_id } = await client.runs.get(id, run.run_id);
    assert.deepEqual([status, thread_id], ["success", id]);
    assert.equal((await client.assistants.get(assistant_id)).graph_id, "work");
  },

  async cancel(client, assert) {
    const id = await thread(client);
    const first = await client.runs.create(id, "work", slow);
    await under(client, id, first.run_id, "running");
    await client.runs.cancel(id, first.run_id, true);
    assert.equal((await client.runs.get(id, first.run_id)).status, "interrupted");
    await assert.rejects(client.runs.cancel(id, first.run_id), missing);
    const second = await client.runs.create(id, "work", slow);
    await client.runs.cancel(id, second.run_id, true, "rollback", { reason: "not wanted" });
    await assert.rejects(client.runs.get(id, second.run_id), missing);
  },

  async cancelMany(client, assert) {
    const threadId = await thread(client);
    const made = [];
    for (const secs of [60, 61]) {
      made.push(await client.runs.create(threadId, "work", { input: { mode: "slow", secs } }));
    }
    await client.runs.cancelMany({ threadId, runIds: made.map((run) => run.run_id) });
    for (const { run_id } of made) await under(client, threadId, run_id, "interrupted");
    await assert.rejects(client.runs.cancelMany({ threadId, runIds: [made[0].run_id] }), missing);
  },

  async join(client, assert) {
    const id = await thread(client);
    const run = await client.runs.create(id, "chat", { input: human("hi") });
    const values = await client.runs.join(id, run.run_id);
    assert.equal(values.messages.at(-1).content, REPLY);
    assert.deepEqual(values, (await client.threads.getState(id)).values);
  },

  async joinStream(client, assert) {
    const id = await thread(client);
    const payload = { input: human("hi"), streamMode: ["values", "custom"], streamResumable: true };
    const live = await all(client.runs.stream(id, "chat", payload));
    const [{ run_id }] = await client.runs.list(id);
    const again = (given) => all(client.runs.joinStream(id, run_id, given));
    assert.deepEqual(await again({ lastEventId: "-1" }), live);
    assert.deepEqual(await again({ lastEventId: live[1].id }), live.slice(2));
    const custom = await again({ lastEventId: "-1", streamMode: ["custom"] });
    assert.deepEqual(custom.filter((part) => part.event === "values"), []);
    const alone = await client.runs.create(null, "chat", { ...payload, onCompletion: "keep" });
    const told = await all(client.runs.joinStream(null, alone.run_id, { lastEventId: "-1" }));
    const values = told.filter((part) => part.event === "values");
    assert.equal(values.at(-1).data.messages.at(-1).content, REPLY);
  },

  async delete(client, assert) {
    const id = await thread(client);
    const run = await client.runs.create(id, "chat", { input: human("hi") });
    await client.runs.join(id, run.run_id);
    await client.runs.delete(id, run.run_id);
    await assert.rejects(client.runs.get(id, run.run_id), missing);
    assert.deepEqual(await client.runs.list(id), []);
  },
};
