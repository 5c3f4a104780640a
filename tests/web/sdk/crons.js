import { fresh, human } from "./asking.js";

const YEARLY = { schedule: "0 0 1 1 *", input: human("happy new year") };

/** A schedule of the year, found by the tag in its metadata. */
const yearly = (client, tag, more = {}) =>
  client.crons.create("chat", { ...YEARLY, metadata: { tag }, ...more });

const found = (client, tag, more = {}) => client.crons.search({ metadata: { tag }, ...more });

export const crons = {
  async createForThread(client, assert) {
    const { thread_id: threadId } = await client.threads.create();
    const cron = await client.crons.createForThread(threadId, "chat", YEARLY);
    const [listed] = await client.crons.search({ threadId });
    assert.equal(listed.cron_id, cron.cron_id);
    assert.equal(listed.thread_id, threadId);
    assert.equal(listed.schedule, YEARLY.schedule);
    assert.deepEqual(listed.payload.input, YEARLY.input);
  },

  async create(client, assert) {
    const tag = fresh();
    const endTime = "2099-01-01T00:00:00+00:00";
    const cron = await yearly(client, tag, { timezone: "Europe/Oslo", endTime, enabled: false });
    const [listed] = await found(client, tag);
    assert.equal(listed.cron_id, cron.cron_id);
    assert.equal(listed.timezone, "Europe/Oslo");
    assert.equal(new Date(listed.end_time).getTime(), new Date(endTime).getTime());
    assert.equal(listed.enabled, false);
    const { graph_id } = await client.assistants.get(listed.assistant_id);
    assert.equal(graph_id, "chat");
  },

  async update(client, assert) {
    const tag = fresh();
    const { cron_id } = await yearly(client, tag);
    await client.crons.update(cron_id, { schedule: "0 0 2 1 *", enabled: false });
    const [listed] = await found(client, tag);
    assert.equal(listed.schedule, "0 0 2 1 *");
    assert.equal(listed.enabled, false);
    assert.deepEqual(listed.payload.input, YEARLY.input);
  },

  async delete(client, assert) {
    const tag = fresh();
    const { cron_id } = await yearly(client, tag);
    await client.crons.delete(cron_id);
    assert.deepEqual(await found(client, tag), []);
  },

  async search(client, assert) {
    const tag = fresh();
    const made = [];
    for (const enabled of [true, false, true]) made.push(await yearly(client, tag, { enabled }));
    const sorted = { sortBy: "created_at", sortOrder: "asc" };
    const ids = (rows) => rows.map((row) => row.cron_id);
    assert.deepEqual(ids(await found(client, tag, sorted)), ids(made));
    assert.deepEqual(ids(await found(client, tag, { enabled: false })), [made[1].cron_id]);
    const [row] = await found(client, tag, { ...sorted, limit: 1, offset: 2, select: ["cron_id"] });
    assert.deepEqual(row, { cron_id: made[2].cron_id });
  },

  async count(client, assert) {
    const tag = fresh();
    await yearly(client, tag);
    await yearly(client, tag);
    assert.equal(await client.crons.count({ metadata: { tag } }), 2);
    const { thread_id: threadId } = await client.threads.create();
    assert.equal(await client.crons.count({ metadata: { tag }, threadId }), 0);
  },
};
