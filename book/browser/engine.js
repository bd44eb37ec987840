// The shipped ×2 network in this browser: started on the first call, in a worker; nothing leaves the page.
const medsrEngine = (function () {
  "use strict";
  let worker = null, turn = Promise.resolve();

  function absent() {
    if (typeof WebAssembly !== "object") return "this browser has no WebAssembly, or it is switched off";
    if (typeof Worker !== "function") return "this browser allows no workers";
    if (typeof DecompressionStream !== "function") return "this browser is too old to unpack the files";
    return "";
  }

  function answer(message, progress) {
    return new Promise((resolve, reject) => {
      worker.onmessage = (event) => {
        if (event.data.error) reject(new Error(event.data.error));
        else if ("progress" in event.data) progress?.(event.data.progress);
        else resolve(event.data);
      };
      worker.onerror = (event) => reject(new Error(event.message || "the worker stopped"));
      worker.postMessage(message);
    });
  }

  async function begin() {
    const [script, glue, wasm, model] = await Promise.all([medsrPacked.text("worker"), medsrPacked.text("glue"),
      medsrPacked.get("runtime"), medsrPacked.get("network")]);
    worker = new Worker(medsrPacked.worker(script));
    try {
      await answer({ glue: medsrPacked.module(glue), wasm, model });
    } catch (error) {
      worker.terminate();
      worker = null;
      throw error;
    }
  }

  return {
    absent,
    // A slice (h × w numbers) made twice as fine: see superResolve. Calls wait for one another.
    run(slice, h, w, usage, progress) {
      turn = turn.catch(() => {}).then(async () => {
        if (!worker) await begin();
        return answer({ slice, h, w, usage }, progress);
      });
      return turn;
    },
  };
})();
