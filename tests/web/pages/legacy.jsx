// `useStream` of the SDK, over runs/stream and history.
import { useStream } from "@langchain/langgraph-sdk/react";
import { Conversation } from "./conversation.jsx";
import { useThreadInAddress } from "./thread.js";

export function Legacy({ api, assistant, rejoin }) {
  const [threadId, onThreadId] = useThreadInAddress();
  const stream = useStream({
    apiUrl: api,
    assistantId: assistant,
    threadId,
    onThreadId,
    reconnectOnMount: rejoin,
    fetchStateHistory: true,
    onCreated: (run) => (window.run = run),
  });
  return (
    <Conversation
      stream={stream}
      messages={stream.messages}
      isLoading={stream.isLoading}
      interrupt={stream.interrupt}
      error={stream.error}
    />
  );
}
