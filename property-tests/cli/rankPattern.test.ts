/** Ranks that one run found start another: printed for PEFT, read by ours. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadAdapter } from '../../accelerated/adapter/loadPeft.js'
import { lookUpPattern, matchModules } from '../../accelerated/adapter/modulePattern.js'
import { openModelFolder } from '../../accelerated/checkpoint/modelFolder.js'
import { adapterModules } from '../../accelerated/encoderConfig.js'
import { startingModules } from '../../accelerated/training/startOfRun.js'
import { runProgram } from '../../cli/program.js'
import { trainRequest } from '../../cli/trainRequest.js'
import { rankPattern, rankPatternOfRun, readRankPattern, type RankPattern } from '../../evaluation/rankPattern.js'
import { salora } from './spawnSalora.js'
import { writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

let cwd = ''
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'salora-pattern-'))
  await writeTinyModel(join(cwd, 'tiny'))
  await writeFile(join(cwd, 'toy.tsv'), toyFile(40))
})
afterAll(() => rm(cwd, { recursive: true }))

const ranks = { 'encoder.layer.0.attention.self.query': 4, 'encoder.layer.0.attention.output.dense': 3, 'encoder.layer.1.attention.self.query': 0, 'encoder.layer.1.output.dense': 1 }
const train = ['train', '--model', 'tiny', '--task', 'toy.tsv', '--max-length', '16', '--max-steps', '4', '--batch-size', '8', '--device', 'cpu', '--quiet', '--json']

describe('a rank pattern', () => {
  it('means, by PEFT\'s rules of matching, each matrix\'s own rank and the run\'s scale, with and without the family in front', async () => {
    const { r, lora_alpha: alpha, target_modules: targets, rank_pattern: pattern, alpha_pattern: alphas } = rankPattern(ranks, 4, 10)
    const modules = adapterModules((await openModelFolder(join(cwd, 'tiny'))).config).map(({ name }) => name)
    for (const names of [modules, modules.map((name) => `roberta.${name}`)]) {
      const [targeted, found, scaled] = [matchModules(targets, names, ''), lookUpPattern(pattern, names, ''), lookUpPattern(alphas, names, '')]
      modules.forEach((name, i) => {
        const wanted = (ranks as Readonly<Record<string, number>>)[name] ?? 0
        expect(targeted[i] ? (found[i] ?? r) : 0, name).toBe(wanted)
        if (wanted > 0) expect((scaled[i] ?? alpha) / wanted, name).toBe(10 / 4)
      })
    }
  })

  it('found by a run of salora starts a run of lora with the same ranks and scale', async () => {
    const found = await salora([...train, '--rank', '3', '--alpha', '5', '--density', '0.4', '--max-steps', '10', '--control-learning-rate', '0.5', '--output', 'found'], { cwd })
    const printed = await outputHere(['rank-pattern', '--run', join(cwd, 'found')])
    await writeFile(join(cwd, 'pattern.json'), printed)
    const started = await salora([...train, '--method', 'lora', '--rank-pattern', 'pattern.json', '--output', 'started'], { cwd })
    expect([found.code, started.code]).toEqual([0, 0])
    const kept = (of: string): unknown => Object.fromEntries(Object.entries((JSON.parse(of) as { readonly ranks: Readonly<Record<string, number>> }).ranks).filter(([, rank]) => rank > 0))
    expect(kept(started.stdout)).toEqual(kept(found.stdout))
    expect(Object.keys((JSON.parse(printed) as RankPattern).rank_pattern).length).toBeGreaterThan(0)
    const { modules } = await loadAdapter(join(cwd, 'started', 'adapter'), (await openModelFolder(join(cwd, 'tiny'))).config)
    for (const { scale } of modules.values()) expect(scale).toBeCloseTo(5 / 3, 12)
    const exported = await salora(['export', '--run', 'started', '--format', 'peft-padded', '--output', 'padded', '--json'], { cwd })
    expect((JSON.parse(exported.stdout) as { readonly comparison: { readonly largestLogitDifference: number } }).comparison.largestLogitDifference).toBeLessThan(1e-6)
    expect(JSON.parse(await readFile(join(cwd, 'padded', 'adapter_config.json'), 'utf8'))).toMatchObject({ r: 3, rank_pattern: {} })
    // The pattern is in the run's own config.json, so that the run can be resumed without the file.
    const resumed = await trainRequest({ resume: true, output: join(cwd, 'started') })
    expect(resumed.settings.rankPattern).toEqual((JSON.parse(printed) as RankPattern).rank_pattern)
  })

  it('that cannot be meant is one line', async () => {
    const write = async (pattern: object): Promise<string> => {
      const file = join(cwd, 'wrong.json')
      await writeFile(file, JSON.stringify(pattern))
      return file
    }
    const good = rankPattern(ranks, 4, 10)
    await expect(write({ ...good, alpha_pattern: {} }).then(readRankPattern)).rejects.toThrow('alpha_pattern 7.5 for encoder.layer.0.attention.output.dense (one scale for all), found 10')
    await expect(write({ ...good, r: 0 }).then(readRankPattern)).rejects.toThrow(/what salora rank-pattern prints, with a valid r/)
    const absent = { 'encoder.layer.9.output.dense': 2 }
    const { config } = await openModelFolder(join(cwd, 'tiny'))
    expect(() => startingModules(config, { targetModules: null, rank: 4, rankPattern: absent })).toThrow('rankPattern: expected names of adapted matrices, found "encoder.layer.9.output.dense"')
    expect(() => startingModules(config, { targetModules: ['query'], rank: 4, rankPattern: { query: 0 } })).toThrow('rankPattern: expected a rank above 0, found none')
    await expect(trainRequest({ model: 'tiny', task: 'toy.tsv', rankPattern: await write(good) })).rejects.toThrow(/^--rank-pattern: expected method lora, whose ranks stay, found \{/)
    await expect(rankPatternOfRun(join(cwd, 'nowhere'))).rejects.toThrow('/nowhere: expected the folder of a run of salora train, found no config.json there')
  })

  it('gives way to flags beside it, and goes before the --config file that it was given with', async () => {
    await writeFile(join(cwd, 'wrong.json'), JSON.stringify(rankPattern(ranks, 4, 10)))
    await writeFile(join(cwd, 'settings.json'), JSON.stringify({ model: 'tiny', task: 'toy.tsv', method: 'lora', rank: 7, alpha: 3 }))
    const { settings } = await trainRequest({ config: join(cwd, 'settings.json'), rankPattern: join(cwd, 'wrong.json'), alpha: '20' })
    expect(settings).toMatchObject({ rank: 4, alpha: 20, targetModules: rankPattern(ranks, 4, 10).target_modules })
  })
})

/** What a command writes to standard output, without a process. */
const outputHere = async (args: ReadonlyArray<string>): Promise<string> => {
  const written: string[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => { written.push(String(text)); return true })
  try {
    await runProgram(args)
  } finally {
    spy.mockRestore()
    process.exitCode = undefined
  }
  return written.join('')
}
