/** The repository's shape, read from its import lines: what may know of what. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = new URL('../../', import.meta.url)
const folders = ['reference', 'accelerated', 'finetuning', 'evaluation', 'reporting', 'web', 'cli', 'property-tests'].filter((folder) =>
  existsSync(new URL(folder, root)),
)
const files = folders.flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/\bnode_modules\b/.test(name))
    .map((name) => posix.join(folder, name.replaceAll('\\', '/'))),
)
const textOf = (file: string): string => readFileSync(new URL(file, root), 'utf8')

type Import = { readonly file: string; readonly of: string }
/** Every import, types included; relative ones from the root, packages as `npm:NAME`. */
const imports: readonly Import[] = files.flatMap((file) =>
  [...textOf(file).matchAll(/^(?:import|export)\s(?:[^'";=]*?\sfrom\s)?'([^']+)'|\bimport\('([^']+)'\)/gm)]
    .map(([, of, lazy]) => of ?? lazy ?? '')
    .map((of) => ({ file, of: of.startsWith('.') ? posix.join(posix.dirname(file), of) : `npm:${of}` })),
)
const from = (folder: string): readonly Import[] => imports.filter(({ file }) => file.startsWith(`${folder}/`))
const show = (imports: readonly Import[]): readonly string[] => imports.map(({ file, of }) => `${file} imports ${of}`)
const within =
  (...starts: readonly string[]) =>
  ({ of }: Import): boolean =>
    starts.some((start) => of === start || of.startsWith(start))

/** A circle of names, the first again at the end; null: there is none. */
const circleIn = (edges: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | null => {
  const finished = new Set<string>()
  const visit = (name: string, path: readonly string[]): readonly string[] | null => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name]
    if (finished.has(name)) return null
    for (const next of edges.get(name) ?? []) {
      const circle = visit(next, [...path, name])
      if (circle !== null) return circle
    }
    finished.add(name)
    return null
  }
  for (const name of edges.keys()) {
    const circle = visit(name, [])
    if (circle !== null) return circle
  }
  return null
}

/** What imports what, by names that `nameOf` gives to files. */
const edgesBy = (nameOf: (file: string) => string): ReadonlyMap<string, ReadonlySet<string>> => {
  const edges = new Map<string, Set<string>>()
  for (const { file, of } of imports) {
    const [a, b] = [nameOf(file), nameOf(of.replace(/\.js$/, '.ts'))]
    if (a === b || of.startsWith('npm:') || file.startsWith('property-tests/')) continue
    edges.set(a, (edges.get(a) ?? new Set()).add(b))
  }
  return edges
}

describe('the architecture', () => {
  it('has no circle of files: a circle with an await in it ends every command without a word', () => {
    expect(circleIn(edgesBy((file) => file))).toBeNull()
    expect(
      circleIn(
        new Map([
          ['a', new Set(['b'])],
          ['b', new Set(['c'])],
          ['c', new Set(['b'])],
        ]),
      ),
    ).toEqual(['b', 'c', 'b'])
  })

  it('has no circle of folders', () => {
    const room = (file: string): string => file.split('/').slice(0, 2).join('/')
    expect(circleIn(edgesBy((file) => (file.split('/').length > 2 ? room(file) : `${posix.dirname(file)}/.`)))).toBeNull()
  })

  it('is read: there are files and imports in every folder', () =>
    folders.forEach((folder) => expect(from(folder).length, folder).toBeGreaterThan(10)))

  it('keeps the reference to fp-ts, ndarray and itself', () => {
    expect(show(from('reference').filter((i) => !within('reference/', 'npm:fp-ts/', 'npm:ndarray')(i)))).toEqual([])
    expect(
      from('reference')
        .filter(within('npm:ndarray'))
        .map(({ file }) => file),
    ).toEqual(['reference/tensor/tensor.ts'])
  })

  it('keeps the accelerated path from the reference, the evaluation, the command line and the tests', () =>
    expect(show(from('accelerated').filter(within('reference/', 'evaluation/', 'cli/', 'property-tests/')))).toEqual([]))

  it('keeps the graph layer to itself and protobufjs', () =>
    expect(show(from('accelerated/graph').filter((i) => !within('accelerated/graph/', 'npm:protobufjs')(i)))).toEqual([]))

  it('trains without Node: of what the training loop needs, nothing touches node: or ONNX Runtime, which the engine alone does', () => {
    const values = (file: string): readonly string[] =>
      [...textOf(file).matchAll(/^(?:import|export)\s(?!type\b)(?:[^'";=]*?\sfrom\s)?'([^']+)'/gm)].map(([, of = '']) => of)
    const needed = new Set<string>()
    const visit = (file: string): void => {
      if (needed.has(file)) return
      needed.add(file)
      for (const of of values(file)) if (of.startsWith('.')) visit(posix.join(posix.dirname(file), of).replace(/\.js$/, '.ts'))
    }
    for (const file of [
      'accelerated/training/trainingLoop.ts',
      'accelerated/training/initialState.ts',
      'accelerated/training/resolveSettings.ts',
    ])
      visit(file)
    expect(needed.size).toBeGreaterThan(40)
    const touching = [...needed].flatMap((file) =>
      values(file)
        .filter((of) => /^(node:|onnxruntime)/.test(of))
        .map((of) => `${file} imports ${of}`),
    )
    expect(touching).toEqual([])
    expect(textOf('accelerated/engines/loadOnnxRuntime.ts')).toContain("import('onnxruntime-node')")
  })

  it('asks Node for nothing outside engines/ and storage/, with one exception', () => {
    const exceptions = [
      'accelerated/checkpoints/hub/', // the hub's cache is a folder of this disk: its links, partial files and process ids are Node's
    ]
    const allowed = ['accelerated/engines/', 'accelerated/storage/', ...exceptions]
    const asking = from('accelerated').filter(within('npm:node:'))
    expect(show(asking.filter(({ file }) => !allowed.some((start) => file.startsWith(start))))).toEqual([])
    for (const exception of exceptions)
      expect(
        asking.some(({ file }) => file.startsWith(exception)),
        exception,
      ).toBe(true)
  })

  it('has no method in its training loop', () => {
    const loop = 'trainingLoop trainStep stepGraph assembly phaseSessions initialState events runLength prediction'
      .split(' ')
      .map((name) => `accelerated/training/${name}.ts`)
    const methods = imports.filter(({ file, of }) => loop.includes(file) && /accelerated\/methods\/(?!(?:method|startPhase)\.js)/.test(of))
    expect(show(methods)).toEqual([])
    loop.forEach((file) => expect(textOf(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''), file).not.toMatch(/gate|lora|retain/i))
  })

  it('runs ONNX Runtime in accelerated/engines and nowhere else; tests may ask it about a graph', () =>
    expect(
      show(imports.filter(within('npm:onnxruntime')).filter(({ file }) => !/^(accelerated\/engines|property-tests)\//.test(file))),
    ).toEqual([]))

  it('asks a device for its engine: only the file of native devices names the engine of Node', () =>
    expect(files.filter((file) => !/^(accelerated\/engines|property-tests)\//.test(file) && /\bnodeEngine\b/.test(textOf(file)))).toEqual(
      [],
    ))

  it('opens mapped weights only where their files are checked before an effect is stored (tests: cli/changedWeights)', () => {
    const opening = files.filter(
      (file) => !/^(property-tests|evaluation)\//.test(file) && /\bengine\.open\([^()]*(\([^()]*\)[^()]*)*\bweights\b/.test(textOf(file)),
    )
    const watching = files.filter((file) => /^(accelerated|finetuning)\//.test(file) && /\bwatchedWeights\(/.test(textOf(file)))
    const given = ['accelerated/engines/sharedSessions.ts', 'accelerated/training/phaseSessions.ts'] // by the recipe and by parts, which watch them
    expect(opening.sort()).toEqual([...given, 'accelerated/generation/decoder.ts', 'accelerated/training/prediction.ts'].sort())
    expect(watching.sort()).toEqual(
      ['generation/decoder', 'training/microBatchWorker', 'training/prediction']
        .map((name) => `accelerated/${name}.ts`)
        .concat('finetuning/recipe.ts'),
    )
  })

  it('has the evaluation know nothing of the command line, and nothing outside the tests know of the tests', () => {
    expect(show(from('evaluation').filter(within('cli/')))).toEqual([])
    expect(show(imports.filter(within('property-tests/')).filter(({ file }) => !file.startsWith('property-tests/')))).toEqual([])
  })

  it('has no drawer called utils, and says in the first line of each source file which idea it holds', () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|manager)(\.|\/)/i.test(file))).toEqual([])
    expect(files.filter((file) => !file.startsWith('property-tests/') && !/^(#!.*\n)?\/\*\*/.test(textOf(file)))).toEqual([])
  })
})
