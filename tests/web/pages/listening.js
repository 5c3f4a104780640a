// Keeps every event of every stream that the page reads, in `window.events`.
window.events = [];

const ask = window.fetch;
window.fetch = async (...asked) => {
  const response = await ask(...asked);
  if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
    keep(response.clone().body.pipeThrough(new TextDecoderStream())).catch(() => {});
  }
  return response;
};

async function keep(body) {
  let text = "";
  for await (const piece of body) {
    const frames = (text + piece).split("\r\n\r\n");
    text = frames.pop();
    for (const frame of frames) {
      const fields = new Map(frame.split("\r\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.has("event")) {
        window.events.push({ event: fields.get("event"), data: JSON.parse(fields.get("data")) });
      }
    }
  }
}
