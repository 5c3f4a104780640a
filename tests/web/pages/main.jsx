// ?hook=legacy|modern|none&api=URL&assistant=NAME[&thread=ID][&rejoin=no][&transport=websocket]:
// one conversation, as an application shows it. `none` shows nothing.
import { Client } from "@langchain/langgraph-sdk";
import { createRoot } from "react-dom/client";
import "./listening.js";
import { Legacy } from "./legacy.jsx";
import { Modern } from "./modern.jsx";

const HOOKS = { legacy: Legacy, modern: Modern };
const told = new URLSearchParams(location.search);
const Hook = HOOKS[told.get("hook")];

window.client = new Client({ apiUrl: told.get("api") });
if (Hook) {
  createRoot(document.getElementById("root")).render(
    <Hook
      api={told.get("api")}
      assistant={told.get("assistant")}
      rejoin={told.get("rejoin") !== "no"}
      transport={told.get("transport") ?? "sse"}
    />,
  );
}
