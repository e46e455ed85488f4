// Asks worker.js, the first argument, for each [method, target] that comes as a line of JSON; prints [status, headers, body].
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { default: worker } = await import(pathToFileURL(process.argv[2]).href);
for await (const line of createInterface({ input: process.stdin })) {
  const [method, target] = JSON.parse(line);
  const answer = await worker.fetch(new Request(`https://click.example.com${target}`, { method }), {});
  console.log(JSON.stringify([answer.status, Object.fromEntries(answer.headers), await answer.text()]));
}
