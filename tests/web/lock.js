// Takes the addresses of people who ask for money out of the lock: it names no host.
import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path));
for (const found of Object.values(lock.packages)) delete found.funding;
writeFileSync(path, JSON.stringify(lock, null, 2) + "\n");
