// What a conversation looks like. `window.shown` holds every text of the last answer, as rendered,
// and `window.counts` how many messages there were, whenever that changed.
import { useLayoutEffect } from "react";

window.shown = [];
window.counts = [];
window.text = (selector) => document.querySelector(selector)?.textContent;
window.texts = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);

const typeOf = (message) => message.getType?.() ?? message.type;

const said = (message) =>
  typeof message.content === "string"
    ? message.content
    : message.content.map((block) => block.text ?? "").join("");

export function Conversation({ stream, messages = [], isLoading, interrupt, error }) {
  window.stream = stream;
  const last = messages.at(-1);
  const answer = last && typeOf(last) === "ai" ? said(last) : "";
  useLayoutEffect(() => {
    if (answer && window.shown.at(-1) !== answer) window.shown.push(answer);
  }, [answer]);
  useLayoutEffect(() => {
    window.counts.push(messages.length);
  }, [messages.length]);
  return (
    <main data-state={isLoading ? "loading" : "ready"}>
      {messages.map((message, number) => (
        <p key={message.id ?? number} className={typeOf(message)}>
          {said(message)}
        </p>
      ))}
      <pre id="interrupt">{interrupt && JSON.stringify(interrupt.value)}</pre>
      <pre id="values">{JSON.stringify(stream.values)}</pre>
      <pre id="error">{error && String(error)}</pre>
    </main>
  );
}
