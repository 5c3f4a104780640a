import { fresh } from "./asking.js";

export const store = {
  async putItem(client, assert) {
    const place = [fresh(), "notes"];
    await client.store.putItem(place, "k", { text: "one", n: 1 });
    await client.store.putItem(place, "k", { text: "two" }, { index: false, ttl: 60 });
    const item = await client.store.getItem(place, "k");
    assert.deepEqual(item.value, { text: "two" });
    assert.deepEqual([item.namespace, item.key], [place, "k"]);
    assert.ok(Date.parse(item.updatedAt) >= Date.parse(item.createdAt));
  },

  async getItem(client, assert) {
    const place = [fresh()];
    assert.equal(await client.store.getItem(place, "k"), null);
    await client.store.putItem(place, "k", { text: "one" });
    assert.deepEqual((await client.store.getItem(place, "k", { refreshTtl: false })).value, { text: "one" });
  },

  async deleteItem(client, assert) {
    const place = [fresh()];
    await client.store.putItem(place, "k", { text: "one" });
    await client.store.deleteItem(place, "k");
    await client.store.deleteItem(place, "k");
    assert.equal(await client.store.getItem(place, "k"), null);
  },

  async searchItems(client, assert) {
    const place = [fresh()];
    for (const n of [1, 2, 3]) await client.store.putItem([...place, "deep"], `k${n}`, { n });
    const keys = async (options) =>
      (await client.store.searchItems(place, options)).items.map((item) => item.key);
    assert.deepEqual((await keys()).toSorted(), ["k1", "k2", "k3"]);
    assert.deepEqual(await keys({ filter: { n: 2 } }), ["k2"]);
    assert.deepEqual((await keys({ filter: { n: { $gte: 2 } } })).toSorted(), ["k2", "k3"]);
    assert.equal((await keys({ limit: 2, offset: 2 })).length, 1);
  },

  async listNamespaces(client, assert) {
    const root = fresh();
    await client.store.putItem([root, "a", "x"], "k", {});
    await client.store.putItem([root, "b", "x"], "k", {});
    const listed = async (options) =>
      (await client.store.listNamespaces({ prefix: [root], ...options })).namespaces.toSorted();
    assert.deepEqual(await listed(), [[root, "a", "x"], [root, "b", "x"]]);
    assert.deepEqual(await listed({ maxDepth: 1 }), [[root]]);
    assert.deepEqual(await listed({ suffix: ["b", "x"] }), [[root, "b", "x"]]);
  },
};
