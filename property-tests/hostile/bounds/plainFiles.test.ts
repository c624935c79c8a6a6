/** Pipes, devices, circular links and links out of a folder are refused: only regular files within their folder and bounds are read. */
import { execFileSync } from 'node:child_process'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadLowRank } from '../../../accelerated/formats/peft/loadPeft.js'
import { readText } from '../../../accelerated/storage/text.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { loadTokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { rankPatternOfRun } from '../../../finetuning/use/rankPattern.js'
import { withEventFile } from '../../../finetuning/run/eventFile.js'
import { readPrompts } from '../../../cli/input/promptInput.js'
import { readDetails } from '../../../finetuning/run/evaluationDetails.js'
import { readRunRows } from '../../../finetuning/run/runRows.js'
import { readSmallFile } from '../../../reporting/board/tailFile.js'
import { openMetricsLog } from '../../../finetuning/run/metricsLog.js'
import { readRunConfig } from '../../../finetuning/run/runFiles.js'
import { bytePair, roberta, runConfig, runResult } from '../validFiles.js'
import { adapter, at, model, outputs, place, put, refusal, sized, usePlace, zeros } from './folder.js'

usePlace()

describe('a path that is not a regular file', () => {
  it('is refused without waiting if it is a pipe', async () => {
    execFileSync('mkfifo', [at('model.safetensors'), at('config.json'), at('adapter_config.json')])
    for (const read of [() => readSafetensors(at('model.safetensors')), () => readText(at('config.json'))])
      expect(await refusal(read)).toMatch(/^F\/[\w.]+: expected a regular file, got a pipe, a device or a socket$/)
    expect(await refusal(() => openModelFolder(place.folder))).toBe('F/config.json: expected a file, got something else')
    expect(await refusal(() => loadLowRank(place.folder, model, outputs))).toBe(
      'F/adapter_config.json: expected a file, got something else',
    )
    expect(await refusal(() => readRunConfig(place.folder))).toBe('F/config.json: expected a file, got something else')
  })
  it('is refused if it is a device or a folder', async () => {
    expect(await refusal(() => readText('/dev/zero'))).toBe('/dev/zero: expected a regular file, got a pipe, a device or a socket')
    expect(await refusal(() => readSafetensors(place.folder))).toBe('F: expected a regular file, got a folder')
  })
  it('is refused if it is a circular link', async () => {
    await symlink('config.json', at('config.json'))
    expect(await refusal(() => openModelFolder(place.folder))).toMatch(/^F\/config\.json: expected a readable file, got .*ELOOP/)
  })
  it("may be a link out of its folder only within a model of the hub's cache", async () => {
    for (const [snapshot, start] of [
      ['models--a--b/snapshots/c', 'no error'],
      ['plain/snapshots/c', 'F'],
      ['models--a--c/plain/c', 'F'],
    ] as const) {
      place.folder = join(place.root, snapshot)
      await mkdir(place.folder, { recursive: true })
      await writeFile(join(place.folder, '..', '..', 'blob'), JSON.stringify(runConfig))
      await symlink('../../blob', at('config.json'))
      expect((await refusal(() => readRunConfig(place.folder))).slice(0, start.length)).toBe(start)
    }
  })
})

describe('the file', () => {
  const weights = writeSafetensors(new Map([...model.spec.tensors].map(([name, shape]) => [name, zeros(shape)] as const)))
  const index = { weight_map: Object.fromEntries([...model.spec.tensors.keys()].map((name) => [name, 'shard.safetensors'])) }
  const folders: Readonly<
    Record<string, { readonly files: Readonly<Record<string, string | Uint8Array>>; readonly read: () => Promise<unknown> }>
  > = {
    model: { read: () => openModelFolder(place.folder), files: { 'config.json': JSON.stringify(roberta), 'model.safetensors': weights } },
    'model in shards': {
      read: () => openModelFolder(place.folder),
      files: {
        'config.json': JSON.stringify(roberta),
        'model.safetensors.index.json': JSON.stringify(index),
        'shard.safetensors': weights,
      },
    },
    tokenizer: {
      read: () => loadTokenizer(place.folder, model),
      files: { 'tokenizer.json': JSON.stringify(bytePair), 'tokenizer_config.json': '{"remove_space":false}' },
    },
    adapter: {
      read: () => loadLowRank(place.folder, model, outputs),
      files: { 'adapter_config.json': adapter.configText, 'adapter_model.safetensors': adapter.weights, 'salora.json': adapter.namesText },
    },
    run: {
      read: () => rankPatternOfRun(place.folder, true),
      files: { 'config.json': JSON.stringify(runConfig), 'result.json': JSON.stringify(runResult) },
    },
  }
  const cases = Object.entries(folders).flatMap(([of, { files }]) => Object.keys(files).map((name) => [name, of] as const))
  const refusalOf = async (of: string, change: () => Promise<unknown>): Promise<string> => {
    for (const [name, content] of Object.entries(folders[of]!.files)) await put(name, content)
    expect(await refusal(folders[of]!.read)).toBe('no error')
    await change()
    return refusal(folders[of]!.read)
  }

  it.each(cases)('%s of a %s is refused if it is a link out of the folder', async (name, of) => {
    const beside = `${place.folder}-beside` // its path begins as the folder's does
    await mkdir(beside)
    expect(
      await refusalOf(of, async () => {
        await rename(at(name), join(beside, name))
        await symlink(join(beside, name), at(name))
      }),
    ).toBe(`F/${name}: expected a file within F, got a link to F-beside/${name}`)
  })
  it.each(cases.filter(([name]) => name.endsWith('.json')))('%s of a %s is refused if it has a key twice', async (name, of) => {
    expect(await refusalOf(of, () => put(name, String(folders[of]!.files[name]).replace('{', '{"x":1,"\\u0078":2,')))).toBe(
      `F/${name}: expected each key once, got "x" twice`,
    )
  })
  it.each(cases.filter(([name]) => name.endsWith('.json')))('%s of a %s is refused if it is too large', async (name, of) => {
    const limit = { 'tokenizer.json': 64_000_000, 'tokenizer_config.json': 4_000_000 }[name] ?? 16_000_000
    expect(await refusalOf(of, () => sized(name, Buffer.from('{'), limit + 1))).toBe(
      `F/${name}: expected at most ${limit} bytes, got ${limit + 1}`,
    )
  })
})

describe("the log of a run's steps", () => {
  it('is refused unread for TensorBoard if it has more than 500 MB, and so is an event file', async () => {
    await put('metrics.jsonl', '{"kind":"step","step":1,"loss":2}\n')
    const log = await openMetricsLog(place.folder, 1)
    await sized('metrics.jsonl', Buffer.from('{}\n'), 500_000_001)
    const open = () => withEventFile(log, place.folder, true)
    expect(await refusal(open)).toBe('F/metrics.jsonl: expected at most 500000000 bytes for TensorBoard, got 500000001')
    const events = 'events.out.tfevents.1700000000.salora'
    await sized(events, Buffer.alloc(8), 500_000_001)
    expect(await refusal(open)).toBe(`F/${events}: expected at most 500000000 bytes for TensorBoard, got 500000001`)
  })
})

describe('a file of a run', () => {
  it('is refused unread if it holds too many rows, or too large an evaluation', async () => {
    for (const [name, limit, read] of [
      ['rows.json', 400_000_000, readRunRows],
      ['evaluation.json', 8_000_000, readDetails],
    ] as const) {
      await sized(name, Buffer.from('{'), limit + 1)
      expect(await refusal(() => read(place.folder))).toBe(`F/${name}: expected at most ${limit} bytes, got ${limit + 1}`)
    }
  })
  it('is refused unread on the board if it has more than 2 MB', async () => {
    await sized('result.json', Buffer.from('{'), 2_000_001)
    expect(await refusal(() => readSmallFile(at('result.json'), async () => 'read'))).toBe(
      'F/result.json: expected at most 2000000 bytes to be shown on a board, got 2000001',
    )
  })
})

describe('prompts', () => {
  it('are refused unread if their file is longer than a text can be', async () => {
    await sized('prompts.jsonl', Buffer.from('{'), 500_000_001)
    expect(await refusal(() => readPrompts({ prompt: null, input: at('prompts.jsonl'), template: null }, null))).toBe(
      'F/prompts.jsonl: expected at most 500000000 bytes, got 500000001',
    )
  })
})
