import { all, fresh, human, missing } from "./asking.js";

const three = async (client, tag) => {
  for (const name of ["a", "b", "c"]) {
    await client.assistants.create({ graphId: "chat", name: `${tag}-${name}`, metadata: { tag } });
  }
};

export const assistants = {
  async create(client, assert) {
    const given = { graphId: "chat", name: fresh(), description: "says", metadata: { tier: 1 } };
    const made = await client.assistants.create({ ...given, context: { reply: "Good day" } });
    const found = await client.assistants.get(made.assistant_id);
    assert.deepEqual(found, made);
    assert.equal(found.name, given.name);
    assert.equal(found.description, "says");
    assert.deepEqual(found.metadata, { tier: 1 });
    assert.equal(found.version, 1);
    const values = await client.runs.wait(null, made.assistant_id, { input: human("hi") });
    assert.equal(values.messages.at(-1).content, "Good day");
  },

  async get(client, assert) {
    const [listed] = await client.assistants.search({ graphId: "chat", metadata: { created_by: "system" } });
    assert.deepEqual(await client.assistants.get(listed.assistant_id), listed);
    await assert.rejects(client.assistants.get("00000000-0000-4000-8000-000000000000"), missing);
  },

  async getGraph(client, assert) {
    const made = await client.assistants.create({ graphId: "work" });
    const names = (graph) => graph.nodes.map((node) => node.id);
    assert.ok(names(await client.assistants.getGraph(made.assistant_id)).includes("child"));
    const drawn = names(await client.assistants.getGraph(made.assistant_id, { xray: true }));
    assert.ok(drawn.includes("child:sub_a"));
  },

  async getSchemas(client, assert) {
    const made = await client.assistants.create({ graphId: "work" });
    const schemas = await client.assistants.getSchemas(made.assistant_id);
    assert.equal(schemas.graph_id, "work");
    assert.ok("mode" in schemas.input_schema.properties);
    assert.ok("pace" in schemas.context_schema.properties);
  },

  async getSubgraphs(client, assert) {
    const made = await client.assistants.create({ graphId: "work" });
    const subgraphs = await client.assistants.getSubgraphs(made.assistant_id, { recurse: true });
    assert.ok("mode" in subgraphs.child.state_schema.properties);
    const one = await client.assistants.getSubgraphs(made.assistant_id, { namespace: "child" });
    assert.deepEqual(Object.keys(one), ["child"]);
    const { nodes } = await client.assistants.getGraph(made.assistant_id, { xray: 1 });
    for (const name of Object.keys(subgraphs)) {
      assert.ok(nodes.some((node) => node.id.startsWith(`${name}:`)));
    }
  },

  async update(client, assert) {
    const { assistant_id: id } = await client.assistants.create({
      graphId: "chat", name: fresh(), metadata: { kept: true },
    });
    await client.assistants.update(id, {
      name: "renamed", metadata: { added: 1 }, context: { reply: "Changed" },
    });
    const found = await client.assistants.get(id);
    assert.equal(found.name, "renamed");
    assert.deepEqual(found.metadata, { kept: true, added: 1 });
    assert.equal(found.version, 2);
    const values = await client.runs.wait(null, id, { input: human("hi") });
    assert.equal(values.messages.at(-1).content, "Changed");
  },

  async delete(client, assert) {
    const { assistant_id: id } = await client.assistants.create({ graphId: "chat" });
    const { thread_id } = await client.threads.create();
    await client.runs.wait(thread_id, id, { input: human("hi") });
    await client.assistants.delete(id, { deleteThreads: true });
    await assert.rejects(client.assistants.get(id), missing);
    await assert.rejects(client.threads.get(thread_id), missing);
  },

  async search(client, assert) {
    const tag = fresh();
    await three(client, tag);
    const query = { metadata: { tag }, sortBy: "name", sortOrder: "desc", limit: 2 };
    const page = await client.assistants.search({ ...query, includePagination: true });
    assert.deepEqual(page.assistants.map((found) => found.name), [`${tag}-c`, `${tag}-b`]);
    assert.equal(page.next, "2");
    const rest = await client.assistants.search({ ...query, offset: 2, select: ["name"] });
    assert.deepEqual(rest, [{ name: `${tag}-a` }]);
  },

  async count(client, assert) {
    const tag = fresh();
    await three(client, tag);
    assert.equal(await client.assistants.count({ metadata: { tag } }), 3);
    assert.equal(await client.assistants.count({ metadata: { tag }, graphId: "work" }), 0);
  },

  async getVersions(client, assert) {
    const { assistant_id: id } = await client.assistants.create({ graphId: "chat", name: "one" });
    await client.assistants.update(id, { name: "two" });
    const versions = await client.assistants.getVersions(id);
    assert.deepEqual(versions.map((found) => [found.version, found.name]), [[2, "two"], [1, "one"]]);
    assert.equal((await client.assistants.getVersions(id, { limit: 1, offset: 1 }))[0].version, 1);
  },

  async setLatest(client, assert) {
    const { assistant_id: id } = await client.assistants.create({
      graphId: "chat", context: { reply: "First" },
    });
    await client.assistants.update(id, { context: { reply: "Second" } });
    await client.assistants.setLatest(id, 1);
    assert.equal((await client.assistants.get(id)).version, 1);
    const parts = await all(client.runs.stream(null, id, { input: human("hi"), streamMode: "values" }));
    const values = parts.filter((part) => part.event === "values");
    assert.equal(values.at(-1).data.messages.at(-1).content, "First");
  },
};
