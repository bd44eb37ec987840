// Large files of the site, each packed in a script (gzip, then base64): a page finds them on a server, under any path,
// and in a folder opened from a disk, where nothing may be fetched. They come when they are asked for, and only then.
const medsrPacked = (function () {
  "use strict";
  const here = new URL(".", document.currentScript.src).href, waiting = {};

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  return {
    // Called by the packed files themselves.
    take(name, text) { waiting[name].found(text); },
    // The bytes of a file; the promise fails, in words, where it is not on this site.
    get(name) {
      if (!waiting[name]) {
        waiting[name] = {};
        waiting[name].bytes = new Promise((resolve, reject) => {
          const script = document.createElement("script");
          waiting[name].found = (text) => unpack(text).then(resolve, reject);
          script.onerror = () => {
            delete waiting[name];
            reject(new Error(`${name} is not on this copy of the site, or cannot be reached`));
          };
          script.src = `${here}packed/${name}.js`;
          document.head.append(script);
        });
      }
      return waiting[name].bytes;
    },
    async run(name) { // as a script of the page
      const script = document.createElement("script");
      script.src = URL.createObjectURL(new Blob([await this.get(name)], { type: "text/javascript" }));
      await new Promise((resolve, reject) => {
        Object.assign(script, { onload: resolve, onerror: () => reject(new Error(`${name} could not be started`)) });
        document.head.append(script);
      });
    },
    async text(name) { return new TextDecoder().decode(await this.get(name)); },
    // Addresses of scripts that the browser holds itself: one to start a worker with, and one to import, which in a
    // folder opened from a disk must not be a blob.
    worker(text) { return URL.createObjectURL(new Blob([text], { type: "text/javascript" })); },
    module(text) { return "data:text/javascript;charset=utf-8," + encodeURIComponent(text); },
  };
})();
