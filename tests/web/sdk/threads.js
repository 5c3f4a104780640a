import { all, fresh, human, missing } from "./asking.js";

/** A thread on which `approval` waits for an answer. */
const asking = async (client) => {
  const { thread_id } = await client.threads.create();
  await client.runs.wait(thread_id, "approval", { input: { topic: "shoes" } });
  return thread_id;
};

export const threads = {
  async get(client, assert) {
    const made = await client.threads.create({ metadata: { a: 1 }, ttl: 5 });
    const found = await client.threads.get(made.thread_id, { include: ["ttl"] });
    assert.deepEqual(found.metadata, { a: 1 });
    assert.equal(found.ttl.strategy, "delete");
    await assert.rejects(client.threads.get("00000000-0000-4000-8000-000000000000"), missing);
  },

  async create(client, assert) {
    const threadId = crypto.randomUUID();
    const updates = [
      { values: { topic: "shoes" }, asNode: "__input__" },
      { values: { draft: "written" }, asNode: "write_draft" },
    ];
    const supersteps = updates.map((update) => ({ updates: [update] }));
    const given = { threadId, graphId: "approval", metadata: { a: 1 }, supersteps };
    assert.equal((await client.threads.create(given)).thread_id, threadId);
    await assert.rejects(client.threads.create({ threadId }), { message: /HTTP 409/ });
    await client.threads.create({ threadId, ifExists: "do_nothing" });
    const { metadata } = await client.threads.get(threadId);
    assert.deepEqual(metadata, { a: 1, graph_id: "approval" });
    const { values, next } = await client.threads.getState(threadId);
    assert.equal(values.draft, "written");
    assert.deepEqual(next, ["ask_human"]);
  },

  async copy(client, assert) {
    const original = await asking(client);
    const copy = await client.threads.copy(original);
    assert.notEqual(copy.thread_id, original);
    await client.threads.updateState(original, { values: { draft: "other" }, asNode: "write_draft" });
    const { values, next } = await client.threads.getState(copy.thread_id);
    assert.equal(values.draft, "draft about shoes");
    assert.deepEqual(next, ["ask_human"]);
    const history = await client.threads.getHistory(copy.thread_id);
    assert.deepEqual(history.map((state) => state.metadata.step), [1, 0, -1]);
  },

  async update(client, assert) {
    const { thread_id } = await client.threads.create({ metadata: { a: 1 } });
    const updated = await client.threads.update(thread_id, { metadata: { b: 2 }, ttl: 7 });
    assert.deepEqual(updated.metadata, { a: 1, b: 2 });
    const quiet = { metadata: { c: 3 }, returnMinimal: true };
    assert.equal(await client.threads.update(thread_id, quiet), undefined);
    const found = await client.threads.get(thread_id, { include: ["ttl"] });
    assert.deepEqual(found.metadata, { a: 1, b: 2, c: 3 });
    assert.equal(found.ttl.ttl_minutes, 7);
  },

  async delete(client, assert) {
    const { thread_id } = await client.threads.create();
    await client.threads.delete(thread_id);
    await assert.rejects(client.threads.get(thread_id), missing);
    await assert.rejects(client.threads.getState(thread_id), missing);
  },

  async prune(client, assert) {
    const ids = [await asking(client), await asking(client)];
    const kept = await client.threads.prune([ids[0]], { strategy: "keep_latest" });
    assert.deepEqual(kept, { pruned_count: 1 });
    const [latest, ...older] = await client.threads.getHistory(ids[0]);
    assert.equal(latest.values.draft, "draft about shoes");
    assert.deepEqual(older, []);
    assert.deepEqual(await client.threads.prune(ids), { pruned_count: 2 });
    assert.deepEqual(await client.threads.search({ ids }), []);
  },

  async search(client, assert) {
    const tag = fresh();
    const ids = [];
    for (const number of [1, 2, 3]) {
      const metadata = { tag, number };
      ids.push((await client.threads.create({ metadata })).thread_id);
    }
    await client.runs.wait(ids[0], "approval", { input: { topic: tag } });
    const found = async (query) =>
      (await client.threads.search({ metadata: { tag }, ...query })).map((row) => row.thread_id);
    const sorted = { sortBy: "created_at", sortOrder: "asc" };
    assert.deepEqual(await found(sorted), ids);
    assert.deepEqual(await found({ ...sorted, limit: 1, offset: 1 }), [ids[1]]);
    assert.deepEqual(await found({ status: "interrupted" }), [ids[0]]);
    assert.deepEqual(await found({ values: { topic: tag } }), [ids[0]]);
    assert.deepEqual(await found({ ids: [ids[2]] }), [ids[2]]);
    const picked = { ids: [ids[0]], select: ["thread_id"], extract: { topic: "values.topic" } };
    const [row] = await client.threads.search(picked);
    assert.deepEqual(row, { thread_id: ids[0], extracted: { topic: tag } });
  },

  async count(client, assert) {
    const tag = fresh();
    await client.threads.create({ metadata: { tag } });
    await client.threads.create({ metadata: { tag } });
    assert.equal(await client.threads.count({ metadata: { tag } }), 2);
    assert.equal(await client.threads.count({ metadata: { tag }, status: "busy" }), 0);
  },

  async getState(client, assert) {
    const id = await asking(client);
    const head = await client.threads.getState(id);
    assert.deepEqual(head.next, ["ask_human"]);
    assert.equal(head.tasks[0].interrupts[0].value.question, "approve?");
    const [, before] = await client.threads.getHistory(id);
    const { checkpoint } = before;
    for (const at of [checkpoint.checkpoint_id, checkpoint]) {
      const state = await client.threads.getState(id, at, { subgraphs: true });
      assert.deepEqual(state.next, ["write_draft"]);
      assert.deepEqual(state.checkpoint, checkpoint);
    }
  },

  async updateState(client, assert) {
    const id = await asking(client);
    const values = { draft: "by hand", log: ["edited"] };
    const { checkpoint } = await client.threads.updateState(id, { values, asNode: "write_draft" });
    const { thread_id, ...place } = checkpoint;
    assert.equal(thread_id, id);
    const state = await client.threads.getState(id);
    assert.equal(state.checkpoint.checkpoint_id, place.checkpoint_id);
    assert.equal(state.values.draft, "by hand");
    assert.deepEqual(state.values.log, ["write_draft", "edited"]);
  },

  async patchState(client, assert) {
    const { thread_id } = await client.threads.create({ metadata: { a: 1 } });
    await client.threads.patchState(thread_id, { b: 2 });
    await client.threads.patchState({ configurable: { thread_id } }, { c: 3 });
    assert.deepEqual((await client.threads.get(thread_id)).metadata, { a: 1, b: 2, c: 3 });
  },

  async getHistory(client, assert) {
    const id = await asking(client);
    const history = await client.threads.getHistory(id);
    assert.deepEqual(history[0], await client.threads.getState(id));
    assert.deepEqual(history.map((state) => state.metadata.step), [1, 0, -1]);
    const older = await client.threads.getHistory(id, { limit: 1, before: history[0].checkpoint });
    assert.deepEqual(older, [history[1]]);
    const inputs = await client.threads.getHistory(id, { metadata: { source: "input" } });
    assert.deepEqual(inputs, [history[2]]);
  },

  async joinStream(client, assert) {
    const { thread_id } = await client.threads.create();
    const payload = { input: human("hi"), streamResumable: true };
    const run = await client.runs.create(thread_id, "chat", payload);
    const parts = [];
    for await (const part of client.threads.joinStream(thread_id, { lastEventId: "-" })) {
      parts.push(part);
      if (part.data.status === "run_done") break;
    }
    assert.equal(parts.at(-1).data.run_id, run.run_id);
    assert.ok(parts.every((part) => part.id));
    assert.deepEqual(parts.at(-2).data, (await client.threads.getState(thread_id)).values);
    assert.equal((await client.runs.get(thread_id, run.run_id)).status, "success");
  },

  async stream(client, assert) {
    const transports = globalThis.WebSocket ? ["sse", "websocket"] : ["sse"]; // Node has it from 22 on
    for (const transport of transports) {
      const thread = client.threads.stream({ assistantId: "approval", transport });
      await thread.run.start({ input: { topic: transport } });
      const values = await all(thread.values);
      assert.equal(values.at(-1).draft, `draft about ${transport}`);
      const [asked] = thread.interrupts;
      assert.equal(asked.payload.question, "approve?");
      const answer = { namespace: asked.namespace, interrupt_id: asked.interruptId };
      await thread.input.respond({ ...answer, response: "yes" });
      const [{ run_id }] = await client.runs.list(thread.threadId);
      await client.runs.join(thread.threadId, run_id);
      const { values: after } = await client.threads.getState(thread.threadId);
      assert.deepEqual(after.log, ["write_draft", "human:yes", "publish"]);
      await thread.close();
    }
  },
};
