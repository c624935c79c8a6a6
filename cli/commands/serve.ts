/** salora serve: an HTTP server that answers for finished runs. */
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined, type Values } from '../options/settingFlags.js'
import type { MachineChoice } from '../../finetuning/use/runSource.js'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { countFlag, listFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { defaultLimits } from '../../finetuning/use/serving/http/limits.js'
import { startRunServer, type RunServer } from '../../finetuning/use/serving/http/server.js'
import type { RunInfo } from '../../finetuning/use/serving/protocol.js'
import { findTaskTypeByName } from '../../finetuning/tasks/findTaskType.js'
import { adapterMachineFlags } from '../options/adapterRequest.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt, watchSuddenEnd } from '../terminal/interrupt.js'
import { placementNote } from '../terminal/output.js'

/** A fixed port, so that clients need no other configuration. */
const defaultPort = 8323

export const serve = defineCommand({
  name: 'salora serve',
  description:
    'Serve finished runs over HTTP: /classify, /v1/embeddings, /v1/chat/completions, /v1/models, /health and /metrics. Concurrent requests share batches. It listens on 127.0.0.1. Ctrl-C or SIGTERM stops it once the running requests are answered.',
  arguments: [{ name: 'runs', description: 'Run folders; clients name each by the last part of its path', several: true, required: true }],
  flags: {
    Server: {
      port: countFlag('n', 'Port; 0 takes any free one', { from: 0, to: 65_535, default: defaultPort }),
      host: textFlag('address', 'Address to listen on; 0.0.0.0 lets other machines in, without a password', { default: '127.0.0.1' }),
      maxQueue: countFlag('texts', 'Texts that may wait or run; beyond it, requests get status 503', {
        from: 1,
        to: 100_000,
        default: defaultLimits.queue,
      }),
      maxBody: countFlag('bytes', "Bytes of a request's body", { from: 1_000, to: 1_000_000_000, default: defaultLimits.bodyBytes }),
      allowOrigin: listFlag('origins', 'Origins of pages that may use it beside those of this machine, such as https://app.example', {
        defaultText: 'none',
      }),
      timeout: countFlag('seconds', 'Seconds that a request may take', { from: 1, to: 3_600, default: defaultLimits.timeout / 1000 }),
    },
    Machine: adapterMachineFlags(['device', 'precision', 'threads', 'batchSize'], { takesModels: false }),
  },
  examples: [
    { command: 'salora serve runs/reviews', result: 'Prints the URL and the names of the models.' },
    {
      command: `curl http://127.0.0.1:8323/classify -d '{"text": "The food was superb."}'`,
      result: '{"label":"positive","score":0.98,"scores":{"negative":0.02,"positive":0.98}}',
    },
  ],
  run: async ({ port, host, allowOrigin, maxQueue, maxBody, timeout, ...machine }, terminal, runs) => {
    let watched = (): void => undefined
    const interrupt = watchInterrupt(
      () => terminal.note('finishing the requests that run; press Ctrl-C again to exit at once'),
      () => watched(),
    )
    try {
      const limits = { queue: maxQueue, bodyBytes: maxBody, timeout: timeout * 1000 }
      const notes = { onProgress: (what: string) => terminal.note(`${what} …`), onPlacement: placementNote(terminal) }
      const server = await startRunServer({ runs, machine: parseMachine(machine), host, port, limits, origins: allowOrigin ?? [] }, notes)
      watched = watchSuddenEnd('salora serve', 'Start it again.')
      terminal.result(listText(server), { url: server.url, models: [...server.runs].map(([name, info]) => ({ name, ...info })) })
      terminal.note(tryLine(server))
      const stopped = new Promise<null>((resolve) => {
        if (interrupt.signal.aborted) resolve(null)
        else interrupt.signal.addEventListener('abort', () => resolve(null), { once: true })
      })
      const error = await Promise.race([stopped, server.died])
      await server.close()
      if (error !== null) throw error
      return exitCodes.success
    } finally {
      watched()
      interrupt.release()
    }
  },
})

/** The flags of the machine that are given; the others are each run's. @throws UsageError for a wrong one */
const parseMachine = (flags: Values): MachineChoice => {
  const given = dropUndefined(Object.fromEntries(['device', 'precision', 'threads', 'batchSize'].map((name) => [name, flags[name]])))
  resolveFlags(given)
  return given as MachineChoice
}

const listText = ({ url, runs }: RunServer): string =>
  [
    `listening on ${url}`,
    ...[...runs].map(([name, run]) => `  ${endpoint(run)}  ${oneLine(name)}, ${run.taskType} on ${oneLine(run.model)}`),
  ].join('\n')

/** A command to try the server with. */
const tryLine = ({ url, runs }: RunServer): string => {
  const [[name, run] = ['', null]] = [...runs].slice(0, 1)
  const body = run === null ? {} : exampleRequest(run)
  return `try it: curl ${url}${run === null ? '' : endpoint(run)} -d ${inShell(JSON.stringify(runs.size > 1 ? { ...body, model: name } : body))}`
}

/** Where a run answers. */
const endpoint = ({ taskType, answers }: RunInfo): string => {
  if (answers === 'generate') return '/v1/chat/completions'
  return findTaskTypeByName(taskType)?.readsHalfPairs === true ? '/v1/embeddings' : '/classify'
}

const exampleRequest = (run: RunInfo): object => {
  if (run.answers === 'generate') return { messages: [{ role: 'user', content: 'Name a color.' }] }
  if (endpoint(run) === '/v1/embeddings') return { input: 'The food was superb.' }
  return { text: 'The food was superb.', ...(run.columns.textPair === undefined ? {} : { text_pair: 'The meal was great.' }) }
}
