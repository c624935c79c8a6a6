/** The ranks of one run start another: printed for PEFT, and read by salora train. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadLowRank, lookUpPattern, matchModules } from '../../accelerated/formats/peft/loadPeft.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { lora, type LoraSettings } from '../../accelerated/methods/lora.js'
import { adaptedMatrices } from '../../accelerated/methods/lowRank.js'
import { parseSettings } from '../../accelerated/training/resolveSettings.js'
import { typedRequest } from './typedFlags.js'
import { rankPattern, rankPatternOfRun, readRankPattern, type RankPattern } from '../../finetuning/use/rankPattern.js'
import { runConfig, runResult } from '../hostile/validFiles.js'
import { saloraHere, saloraIn } from './inProcess.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('pattern')

const ranks = {
  'encoder.layer.0.attention.self.query': 4,
  'encoder.layer.0.attention.output.dense': 3,
  'encoder.layer.1.attention.self.query': 0,
  'encoder.layer.1.output.dense': 1,
}
const train = [...toyTrain, '--max-steps', '4', '--batch-size', '8', '--quiet', '--json']

describe('a rank pattern', () => {
  it("gives each matrix its rank and scale by PEFT's matching rules, with and without the prefix of the family", async () => {
    const modules = (await openModelFolder(join(cwd, 'tiny'))).model.spec.matrices.map(({ name }) => name)
    const cases = [4, 6].flatMap((rank) => [modules, modules.map((name) => `roberta.${name}`)].map((names) => [rank, names] as const))
    for (const [rank, names] of cases) {
      const { r, lora_alpha: alpha, target_modules: targets, rank_pattern: pattern, alpha_pattern: alphas } = rankPattern(ranks, rank, 10)
      expect([...targets, ...Object.keys(pattern), ...Object.keys(alphas)]).not.toContain('encoder.layer.1.attention.self.query') // PEFT has no rank 0
      const [targeted, estimated, scaled] = [
        matchModules(targets, names, ''),
        lookUpPattern(pattern, names, ''),
        lookUpPattern(alphas, names, ''),
      ]
      expect([r, alpha]).toEqual([rank, 10])
      expect(Object.values(pattern)).not.toContain(r)
      modules.forEach((name, i) => {
        const expected = (ranks as Readonly<Record<string, number>>)[name] ?? 0
        expect(targeted[i] ? (estimated[i] ?? r) : 0, name).toBe(expected)
        if (expected > 0) expect((scaled[i] ?? alpha) / expected, name).toBeCloseTo(10 / rank, 15)
      })
    }
  })

  it('the rank pattern of a SaLoRA run starts a LoRA run with the same ranks and scale', async () => {
    const outcome = await saloraIn(
      [
        ...train,
        ...'--rank 3 --lora-alpha 5'.split(' '),
        ...['--set', 'gate-start=0.2,gate-end=0.5'],
        ...'--density 0.4 --max-steps 10 --set control-learning-rate=0.5 --output found'.split(' '),
      ],
      { cwd },
    )
    // three steps with sampled gates: what they found is printed only when asked for all the same
    expect((await saloraHere('rank-pattern', '--run', join(cwd, 'found'))).stderr).toBe(
      `${join(cwd, 'found', 'result.json')}: expected ranks that mean something (--force prints them all the same), ` +
        'got gates are sampled in only 3 steps: below 40 steps, the density may miss its target and the choice of ranks may be poor. A run of 134 steps is long enough\n',
    )
    const { stdout: printed } = await saloraHere('rank-pattern', '--run', join(cwd, 'found'), '--force')
    await writeFile(join(cwd, 'pattern.json'), printed)
    const started = await saloraIn([...train, '--method', 'lora', '--rank-pattern', 'pattern.json', '--output', 'started'], { cwd })
    expect([outcome.code, started.code]).toEqual([0, 0])
    const kept = (of: string): unknown =>
      Object.fromEntries(
        Object.entries((JSON.parse(of) as { readonly ranks: Readonly<Record<string, number>> }).ranks).filter(([, rank]) => rank > 0),
      )
    expect(kept(started.stdout)).toEqual(kept(outcome.stdout))
    expect(Object.keys((JSON.parse(printed) as RankPattern).rank_pattern).length).toBeGreaterThan(0)
    const { model, outputs } = await openModelFolder(join(cwd, 'tiny'))
    const { modules } = await loadLowRank(join(cwd, 'started', 'adapter'), model, outputs)
    for (const { scale } of modules.values()) expect(scale).toBeCloseTo(5 / 3, 12)
    const exported = await saloraIn(['export', '--run', 'started', '--format', 'peft-padded', '--output', 'padded', '--json'], { cwd })
    expect(
      (JSON.parse(exported.stdout) as { readonly comparison: { readonly largestLogitDifference: number } }).comparison
        .largestLogitDifference,
    ).toBeLessThan(1e-6)
    expect(JSON.parse(await readFile(join(cwd, 'padded', 'adapter_config.json'), 'utf8'))).toMatchObject({
      r: 3,
      rank_pattern: noKeys,
      alpha_pattern: noKeys,
    })
    // matrices that the run pruned to nothing are pairs of zeros in it: the run says which it adapted
    await saloraIn(['export', '--run', 'found', '--format', 'peft-padded', '--output', 'whole', '--quiet'], { cwd })
    expect((await loadLowRank(join(cwd, 'whole'), model, outputs)).modules.size).toBe(12)
    expect(Object.keys(kept(outcome.stdout) as object).length).toBeLessThan(12)
    // The pattern is in the run's own config.json, so that the run can be resumed without the file.
    const resumed = await typedRequest({ resume: true, output: join(cwd, 'started') })
    expect(resumed.settings.rankPattern).toEqual((JSON.parse(printed) as RankPattern).rank_pattern)
  })

  it("is read the same way with PEFT's prefix of the family", async () => {
    const given = rankPattern(ranks, 4, 10)
    const prefixed = (table: Readonly<Record<string, number>>) =>
      Object.fromEntries(Object.entries(table).map(([name, value]) => [`roberta.${name}`, value]))
    const targets = given.target_modules.map((name) => `roberta.${name}`)
    const asPeft = {
      ...given,
      target_modules: targets,
      rank_pattern: prefixed(given.rank_pattern),
      alpha_pattern: prefixed(given.alpha_pattern),
    }
    expect(await write(asPeft).then(readRankPattern)).toEqual({
      rank: 4,
      loraAlpha: 10,
      targetModules: given.target_modules,
      rankPattern: given.rank_pattern,
    })
  })

  it('skips a matrix of rank 0', async () => {
    const pattern = await write({
      r: 4,
      lora_alpha: 8,
      target_modules: ['query', 'key'],
      rank_pattern: { key: 0 },
      alpha_pattern: { key: 0 },
    })
    const { settings } = await typedRequest({ model: 'tiny', task: 'toy.tsv', method: 'lora', rankPattern: pattern })
    const { spec } = (await openModelFolder(join(cwd, 'tiny'))).model
    expect(lora.phases.start(spec, settings as LoraSettings).matrices.map(({ name, r }) => [name, r])).toEqual(
      [0, 1].map((layer) => [`encoder.layer.${layer}.attention.self.query`, 4]),
    )
  })

  it('gives one line if it is invalid', async () => {
    const good = rankPattern(ranks, 4, 10)
    await expect(write({ ...good, alpha_pattern: {} }).then(readRankPattern)).rejects.toThrow(
      'alpha_pattern 7.5 for encoder.layer.0.attention.output.dense (one scale for all), got 10',
    )
    const steep = { ...good.alpha_pattern, 'encoder.layer.0.attention.self.query': 20 }
    await expect(write({ ...good, alpha_pattern: steep }).then(readRankPattern)).rejects.toThrow(
      'alpha_pattern 10 for encoder.layer.0.attention.self.query (one scale for all), got 20',
    )
    await expect(write({ ...good, target_modules: [] }).then(readRankPattern)).rejects.toThrow(
      /whose target_modules is a list of at least 1 entry/,
    )
    await expect(write({ ...good, r: 0 }).then(readRankPattern)).rejects.toThrow(
      /the output of salora rank-pattern whose r is a whole number of at least 1/,
    )
    const absent = { 'encoder.layer.9.output.dense': 2 }
    const { spec } = (await openModelFolder(join(cwd, 'tiny'))).model
    expect(() => adaptedMatrices(spec, { targetModules: null, rank: 4, rankPattern: absent })).toThrow(
      'rankPattern: expected names of adapted matrices, got "encoder.layer.9.output.dense"',
    )
    expect(() => adaptedMatrices(spec, { targetModules: ['query'], rank: 4, rankPattern: { query: 0 } })).toThrow(
      'rankPattern: expected a rank above 0, got none',
    )
    await expect(typedRequest({ model: 'tiny', task: 'toy.tsv', method: 'salora', rankPattern: await write(good) })).rejects.toThrow(
      /^--rank-pattern: expected a setting of method salora, got \{.*\} \(it belongs to lora: use --method lora\)$/,
    )
    await expect(rankPatternOfRun(join(cwd, 'nowhere'))).rejects.toThrow(
      '/nowhere: expected the folder of a run of salora train, got no config.json there',
    )
  })

  it('of an rsLoRA run has its scale alpha / √rank, as alpha over the rank of plain LoRA', async () => {
    const run = join(cwd, 'rslora')
    await mkdir(run)
    const settings = parseSettings({ method: 'lora', rank: 4, loraAlpha: 10, useRslora: true })
    await writeFile(join(run, 'config.json'), JSON.stringify({ ...runConfig, settings }))
    const noGates = { targetDensity: undefined, expectedDensity: undefined, retainedDensity: undefined, lambda: undefined }
    await writeFile(join(run, 'result.json'), JSON.stringify({ ...runResult, ...noGates, ranks: { query: 4, key: 2 } }))
    expect(await rankPatternOfRun(run)).toMatchObject({ r: 4, lora_alpha: 20, rank_pattern: { key: 2 }, alpha_pattern: { key: 10 } })
  })

  it('gives one line for a run without ranks', async () => {
    const run = join(cwd, 'odd')
    await mkdir(run)
    const begun = (method: string): Promise<void> =>
      writeFile(join(run, 'config.json'), JSON.stringify({ ...runConfig, settings: parseSettings({ method }) }))
    const of = async (modelRanks: object | undefined, more: object = {}, force = false): Promise<RankPattern> => {
      await writeFile(join(run, 'result.json'), JSON.stringify({ ...runResult, steps: 1000, ranks: modelRanks, ...more }))
      return rankPatternOfRun(run, force)
    }
    await begun('salora')
    await expect(rankPatternOfRun(run)).rejects.toThrow(`${run}/result.json: expected the result of a finished run, got none there`)
    await expect(of({ query: 8 }, { retainedDensity: null })).rejects.toThrow(
      `${run}/result.json: expected the ranks that a run found, got a run that ended before its gates were closed`,
    )
    // 39 of 300 steps have sampled gates, 40 of 307
    expect(await of({ query: 8 }, { steps: 307 })).toMatchObject({ target_modules: ['query'] })
    await expect(of({ query: 8 }, { steps: 300 })).rejects.toThrow(
      `${run}/result.json: expected ranks that mean something (force: true prints them all the same), got gates are sampled in only 39 steps: `,
    )
    expect(await of({ query: 8 }, { steps: 300 }, true)).toMatchObject({ target_modules: ['query'] })
    await expect(of({ query: 0 })).rejects.toThrow(`${run}/result.json: expected a matrix that kept a rank, got none`)
    const noGates = { targetDensity: undefined, expectedDensity: undefined, retainedDensity: undefined, lambda: undefined, steps: 3 }
    await begun('lora')
    expect(await of({ query: 8 }, noGates)).toMatchObject({ target_modules: ['query'] })
    await begun('full')
    await expect(of(undefined, noGates)).rejects.toThrow(
      `${run}/result.json: expected the ranks of a method that has some, got a run of full`,
    )
    for (const rank of [-1, 0.5, '4'])
      await expect(of({ query: rank })).rejects.toThrow(/result\.json: expected the result\.json of a run whose ranks\.query/)
  })

  it('ranks below flags, and below the other settings of the --config file that names it', async () => {
    const pattern = await write(rankPattern(ranks, 4, 10))
    const config = async (more: object = {}): Promise<string> => {
      await writeFile(join(cwd, 'settings.json'), JSON.stringify({ model: 'tiny', task: 'toy.tsv', method: 'lora', loraAlpha: 3, ...more }))
      return join(cwd, 'settings.json')
    }
    // named within the file, it is below the file's own settings
    expect((await typedRequest({ config: await config({ rankPattern: pattern }) })).settings).toMatchObject({ rank: 4, loraAlpha: 3 })
    const { settings } = await typedRequest({ config: await config({ rank: 7 }), rankPattern: pattern, loraAlpha: '20' })
    expect(settings).toMatchObject({ rank: 4, loraAlpha: 20, targetModules: rankPattern(ranks, 4, 10).target_modules })
  })
})

const noKeys = expect.toSatisfy((table: object) => Object.keys(table).length === 0) as unknown // toMatchObject takes {} for any object

const write = async (pattern: object): Promise<string> => {
  const file = join(cwd, 'written.json')
  await writeFile(file, JSON.stringify(pattern))
  return file
}
