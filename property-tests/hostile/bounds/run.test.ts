/** The files of a run are read as they were written, or refused. */
import { describe, expect, it } from 'vitest'
import { parseRunConfig, parseRunResult } from '../../../finetuning/run/runFiles.js'
import { runConfig, runResult } from '../validFiles.js'
import { refusal, usePlace } from './folder.js'

usePlace()

describe('the files of a run', () => {
  it('are read as they were written', () => {
    for (const config of [runConfig, { ...runConfig, evalOnStart: true, later: 1 }])
      expect(parseRunConfig(JSON.stringify(config), 'x')).toEqual(config)
    expect(parseRunResult(JSON.stringify(runResult), 'x')).toEqual(runResult)
  })
  it('are refused in one line that names the version if an older salora wrote them', async () => {
    const { formatVersion: _, ...config } = runConfig
    const older = { ...config, versions: { salora: '0.1.0' } }
    expect(await refusal(() => parseRunConfig(JSON.stringify(older), 'runs/a/config.json'))).toBe(
      'runs/a/config.json: expected a run folder of salora 0.2.0 or newer, got one of 0.1.0 (its settings have other names: start a new run, or resume with that version)',
    )
  })
  it('are refused if their values have other types', async () => {
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, model: { toString: 1 } }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose model/,
    )
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, evalOnStart: 'no' }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose evalOnStart/,
    )
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, task: { task: { a: 1 } } }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose task\.task/,
    )
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, model: 'x'.repeat(100_001) }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose model /,
    )
    const many = JSON.stringify({ ...runConfig, settings: { targetModules: Array.from({ length: 100_001 }, () => 'x') } })
    expect(await refusal(() => parseRunConfig(many, 'x'))).toMatch(/^x: expected the config\.json of a run whose settings\.targetModules /)
    expect(await refusal(() => parseRunResult(JSON.stringify({ ...runResult, last: null }), 'x'))).toMatch(
      /^x: expected the result\.json of a run whose last/,
    )
    expect(await refusal(() => parseRunResult('null', 'x'))).toMatch(/^x: expected the result\.json of a run \(an object\)/)
  })
})
