// The thread's id lives in the page's address, so that a reload finds it again.
import { useState } from "react";

export function useThreadInAddress() {
  const [thread, setThread] = useState(new URLSearchParams(location.search).get("thread"));
  return [
    thread,
    (id) => {
      const address = new URL(location);
      address.searchParams.set("thread", id);
      history.replaceState(null, "", address);
      setThread(id);
    },
  ];
}
