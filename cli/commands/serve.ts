/** salora serve: an HTTP server that answers for finished runs. */
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined, type Values } from '../options/settingFlags.js'
import { isModel, type MachineChoice } from '../../finetuning/use/runSource.js'
import { isFolder } from '../../accelerated/storage/folders.js'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { countFlag, parseList, repeatableFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { largestRank } from '../../accelerated/methods/lowRankSettings.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { defaultLimits } from '../../finetuning/use/serving/http/limits.js'
import { startRunServer, type RunServer, type ServedBase } from '../../finetuning/use/serving/http/server.js'
import type { RunInfo } from '../../finetuning/use/serving/protocol.js'
import { findTaskTypeByName } from '../../finetuning/tasks/findTaskType.js'
import { adapterMachineFlags } from '../options/adapterRequest.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt, watchSuddenEnd } from '../terminal/interrupt.js'
import { placementNote } from '../terminal/output.js'

/** A fixed port, so that clients need no other configuration. */
const defaultPort = 8323

/** Adapters of a base that may be open, unless the user says. */
const usualAdapters = 32

export const serve = defineCommand({
  name: 'salora serve',
  description:
    'Serve finished runs, or one base model with any number of adapters, over HTTP: /classify, /v1/embeddings, /v1/chat/completions, /v1/completions, /v1/models, /adapters, /health and /metrics. Concurrent requests share batches. It listens on 127.0.0.1. Ctrl-C or SIGTERM stops it once the running requests are answered.',
  arguments: [
    {
      name: 'runs',
      description: 'Run folders, or one model; clients name each by the last part of its path',
      several: true,
      required: true,
    },
  ],
  flags: {
    Adapters: {
      adapter: repeatableFlag('name=folder', "A run's or PEFT's LoRA adapter of the one model that is served; may be repeated"),
      adapterRoot: textFlag('folder', 'Let requests load adapters from below this folder (POST /adapters)', { defaultText: 'none' }),
      maxAdapters: countFlag('n', 'Adapters that may be open at once', { from: 1, to: 10_000, defaultText: `${usualAdapters}` }),
      maxRank: countFlag('rank', 'Largest rank of an adapter', { to: largestRank, defaultText: '16, or that of the first adapters' }),
    },
    Server: {
      port: countFlag('n', 'Port; 0 takes any free one', { from: 0, to: 65_535, default: defaultPort }),
      host: textFlag('address', 'Address to listen on; 0.0.0.0 lets other machines in, without a password', { default: '127.0.0.1' }),
      maxQueue: countFlag('texts', 'Texts that may wait or run; beyond it, requests get status 503', {
        from: 1,
        to: 100_000,
        default: defaultLimits.queue,
      }),
      maxBody: countFlag('bytes', "Bytes of a request's body", { from: 1_000, to: 1_000_000_000, default: defaultLimits.bodyBytes }),
      allowOrigin: repeatableFlag(
        'url',
        'Origin of pages that may use it beside those of this machine, such as https://app.example; may be repeated',
      ),
      timeout: countFlag('seconds', 'Seconds that a request may take', { from: 1, to: 3_600, default: defaultLimits.timeout / 1000 }),
    },
    Machine: adapterMachineFlags(['device', 'precision', 'threads', 'batchSize'], { takesModels: false }),
  },
  examples: [
    { command: 'salora serve runs/reviews', result: 'Prints the URL and the names of the models.' },
    {
      command: 'salora serve google-bert/bert-base-uncased --adapter reviews=runs/reviews --adapter topics=runs/topics',
      result: 'Loads the base once for both.',
    },
    {
      command: `curl http://127.0.0.1:8323/classify -d '{"text": "The food was superb."}'`,
      result: '{"label":"positive","score":0.98,"scores":{"negative":0.02,"positive":0.98}}',
    },
  ],
  run: async ({ port, host, allowOrigin, maxQueue, maxBody, timeout, ...flags }, terminal, given) => {
    const { adapter, adapterRoot, maxAdapters, maxRank, ...machine } = flags
    const base = await parseBase(given, { adapter, adapterRoot, maxAdapters, maxRank })
    const runs = base === undefined ? given : []
    let watched = (): void => undefined
    const interrupt = watchInterrupt(
      () => terminal.note('finishing the requests that run; press Ctrl-C again to exit at once'),
      () => watched(),
    )
    try {
      const limits = { queue: maxQueue, bodyBytes: maxBody, timeout: timeout * 1000 }
      const notes = { onProgress: (what: string) => terminal.note(`${what} …`), onPlacement: placementNote(terminal) }
      const server = await startRunServer(
        { runs, base, machine: parseMachine(machine), host, port, limits, origins: allowOrigin.flatMap(parseOrigins) },
        notes,
      )
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

/** @throws UsageError for what no browser sends as an origin */
const parseOrigins = (text: string): readonly string[] => {
  const origins = parseList('--allow-origin', text)
  const wrong = origins.find((origin) => !URL.canParse(origin) || new URL(origin).origin !== origin)
  if (wrong !== undefined) throw usageError('--allow-origin', 'an origin such as https://app.example', wrong)
  return origins
}

type AdapterFlags = {
  readonly adapter: readonly string[]
  readonly adapterRoot: string | null
  readonly maxAdapters: number | null
  readonly maxRank: number | null
}

/** The one model, if it is to have adapters or if its folder is no run's. @throws UsageError */
const parseBase = async (models: readonly string[], flags: AdapterFlags): Promise<ServedBase | undefined> => {
  const { adapter, adapterRoot: root, maxAdapters, maxRank } = flags
  const [model = '', ...others] = models
  const hasAdapters = adapter.length > 0 || root !== null || maxAdapters !== null || maxRank !== null
  if (!hasAdapters && (others.length > 0 || !(await isModel(model)))) return undefined
  if (others.length > 0) throw usageError('salora serve', 'one model for all adapters', `${models.length}`)
  const pairs = adapter.map((text) => {
    const at = text.indexOf('=')
    if (at < 1 || at === text.length - 1) throw usageError('--adapter', 'name=folder', text)
    return [text.slice(0, at), text.slice(at + 1)] as const
  })
  const twice = pairs.find(([name], i) => pairs.findIndex(([other]) => other === name) !== i)
  if (twice !== undefined) throw usageError('--adapter', 'different names', `${twice[0]} twice`)
  const most = maxAdapters ?? Math.max(usualAdapters, pairs.length)
  if (pairs.length > most) throw usageError('--max-adapters', `at least ${pairs.length}, one for each --adapter`, `${most}`)
  if (root !== null && !(await isFolder(root))) throw usageError('--adapter-root', 'a folder', root)
  return { model, adapters: Object.fromEntries(pairs), root, most, maxRank }
}

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
