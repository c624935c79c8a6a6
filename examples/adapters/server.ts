/**
 * Serves the page beside this file, a base that `salora export --format transformers.js --adapter-inputs --precision int8` wrote, and adapters, each a
 * folder of `--format peft-file`. The name of a folder is that of its adapter:
 *
 *   node dist/examples/adapters/server.js exported/base exported/sentiment exported/topic [PORT]
 */
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { findPage, installedFolder, pageServer } from '../web-page/server.js'

const main = (typed: readonly string[]): void => {
  const last = typed.at(-1) ?? ''
  const [port, [base, ...adapters]] = /^\d+$/.test(last) ? [Number(last), typed.slice(0, -1)] : [8080, typed]
  if (base === undefined || adapters.length === 0) throw new Error('usage: server.js BASE ADAPTER... [PORT]')
  const named = new Map(adapters.map((folder) => [basename(folder), join(folder, 'adapter.safetensors')]))
  const server = pageServer(findPage('adapters', import.meta.url), {
    folders: { model: base, salora: installedFolder('salora/adapters') },
    files: new Map([...named].map(([name, file]) => [`/adapters/${name}`, file])),
    texts: new Map([['/adapters.json', JSON.stringify([...named.keys()])]]),
  })
  server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv.slice(2))
