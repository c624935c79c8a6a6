/** Names of runs, and of what they read, in place of paths: reports are shared, and a run may be from another system or a browser. */
import { group } from 'd3-array'
import type { RunConfig } from '../../finetuning/run/run.js'

/** The last name of a path; with a depth, its last names. */
export const pathName = (path: string, depth = 1): string =>
  path
    .split(/[\\/]/)
    .filter((name) => name !== '')
    .slice(-depth)
    .join('/')

/** A name for each path: the last one, after the folders that distinguish it from the others. */
export const pathNames = (paths: Iterable<string>): ReadonlyMap<string, string> => {
  const names = new Map<string, string>()
  const name = (alike: readonly string[], depth: number): void => {
    for (const [end, sameEnd] of group(alike, (path) => pathName(path, depth))) {
      const isWhole = sameEnd.every((path) => pathName(path, depth + 1) === end)
      if (sameEnd.length > 1 && !isWhole) name(sameEnd, depth + 1)
      else for (const path of sameEnd) names.set(path, isWhole && sameEnd.length > 1 ? path : end)
    }
  }
  name([...new Set(paths)], 1)
  return names
}

/** Paths and hub ids by option. */
type Paths = Readonly<Record<string, string>>

type Input = {
  /** Which of the stored digests are of it. */
  readonly digests: RegExp
  readonly listPaths: (config: RunConfig) => Readonly<Record<string, unknown>>
}

const model: Input = { digests: /^the model's /, listPaths: (config) => ({ model: config.model }) }
const adapter: Input = { digests: /^the adapter's /, listPaths: (config) => ({ adapter: config.adapter }) }
const rows: Input = {
  digests: / rows$/,
  listPaths: ({ task: { task, data, evalData, testData, mixData } }) => ({ task, data, evalData, testData, mixData }),
}

/** The config of each run with names in place of paths. A moved input keeps the name of the place where it was read first. */
export const namedConfigs = (configs: readonly RunConfig[]): ReadonlyMap<RunConfig, RunConfig> => {
  const [models, adapters, tasks] = [nameInputs(model, configs), nameInputs(adapter, configs), nameInputs(rows, configs)]
  return new Map(
    configs.map((config) => {
      const task = { ...config.task, ...tasks.get(config) }
      return [config, { ...config, ...models.get(config), ...adapters.get(config), task }]
    }),
  )
}

const nameInputs = ({ digests, listPaths }: Input, configs: readonly RunConfig[]): ReadonlyMap<RunConfig, Paths> => {
  const found = new Map<string, Paths>()
  const places = configs.map((config) => {
    const paths = Object.fromEntries(
      Object.entries(listPaths(config)).flatMap(([option, path]) => (path === undefined ? [] : [[option, String(path)]])),
    )
    const stored = Object.entries(config.inputs ?? {}).filter(([name]) => digests.test(name))
    const ends = Object.values(paths).map((path) => pathName(path))
    const key = JSON.stringify(stored.length === 0 ? paths : [stored, ends])
    const first = found.get(key) ?? paths
    found.set(key, first)
    return [config, first] as const
  })
  const options = new Set([...found.values()].flatMap((paths) => Object.keys(paths)))
  const names = new Map(Array.from(options, (option) => [option, pathNames([...found.values()].flatMap((paths) => paths[option] ?? []))]))
  const replacePaths = (paths: Paths): Paths =>
    Object.fromEntries(Object.entries(paths).map(([option, path]) => [option, names.get(option)?.get(path) ?? path]))
  return new Map(places.map(([config, paths]) => [config, replacePaths(paths)]))
}
