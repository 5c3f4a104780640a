// `useStream` of @langchain/react, over the event protocol; `stream.interrupt` as in the other.
import { useStream } from "@langchain/react";
import { Conversation } from "./conversation.jsx";
import { useThreadInAddress } from "./thread.js";

export function Modern({ api, assistant, transport }) {
  const [threadId, onThreadId] = useThreadInAddress();
  const stream = useStream({
    apiUrl: api,
    assistantId: assistant,
    threadId,
    onThreadId,
    transport,
    onCreated: ({ runId }) => (window.run = runId),
    onConnected: ({ kind }) => (window.reconnected = kind === "reconnected"),
  });
  return (
    <Conversation
      stream={stream}
      messages={stream.messages}
      isLoading={stream.isLoading || stream.isThreadLoading}
      interrupt={stream.interrupt}
      error={stream.error}
    />
  );
}
