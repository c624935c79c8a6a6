/** salora export: its output, and one line per error. */
import { readdir, stat } from 'node:fs/promises'
import { AutoModelForSequenceClassification, AutoTokenizer, pipeline } from '@huggingface/transformers'
import { describe, expect, it } from 'vitest'
import type { ExportReport } from '../../../finetuning/use/exportAdapter.js'
import { saloraHere, saloraIn } from '../inProcess.js'
import { salora } from '../spawnSalora.js'
import { writeAdapter } from '../tinyAdapter.js'
import { at, exported, place, usePlace } from './folder.js'

usePlace()

describe('salora export', () => {
  const base = (): readonly string[] => ['export', '--model', at('bert'), '--adapter', at('bert-adapter'), '--quiet']
  /** What it writes to a stream. */
  const written = async (stream: 'stdout' | 'stderr', ...args: readonly string[]): Promise<string> => {
    const output = await saloraHere(...base(), ...args)
    expect(Number(output.code) > 0).toBe(stream === 'stderr')
    return output[stream].replaceAll(place.root, '@')
  }
  const refused = (...args: readonly string[]): Promise<string> => written('stderr', ...args)

  it('prints the files that it wrote, the largest logit difference, and how to use them', async () => {
    const stdout = await written('stdout', '--format', 'peft', '--output', at('said'))
    const size = async (name: string): Promise<string> => `  ${name} ${Math.ceil((await stat(at('said', name))).size / 1e3)} kB\n`
    const files = await Promise.all(['adapter_config.json', 'adapter_model.safetensors', 'salora.json'].map(size))
    expect(stdout.replaceAll(/(?<=\S) +/g, ' ')).toMatch(
      new RegExp(
        `^@/said\n${files.join('')}largest logit difference over 6 texts: 0 \\(logits up to [\\d.]+\\)\nto use it: PeftModel\\.from_pretrained\\(base, "@/said"\\)\nto share it: salora push @/said NAME\n$`,
      ),
    )
  })

  it('warns that the pipeline of transformers.js answers 1 for every regression, which is true', async () => {
    await writeAdapter(at('number-adapter'), at('bert'), ['LABEL_0'])
    const args = ['export', '--model', 'bert', '--adapter', 'number-adapter', '--quiet', '--format']
    const warned = await saloraIn([...args, 'transformers.js', '--output', 'number'], { cwd: place.root })
    expect(warned.stderr).toMatch(/^warning: pipeline\('text-classification'\) answers 1 for every regression: .*\n$/)
    expect(warned.stdout).toContain(`to use it: await AutoModelForSequenceClassification.from_pretrained("./number", { dtype: 'fp32' })\n`)
    const classify = await pipeline('text-classification', at('number'), { dtype: 'fp32' })
    expect(await classify(['A wonderful film.', 'bad'])).toEqual([1, 1].map((score) => ({ label: 'LABEL_0', score })))
    await classify.dispose()
    const predicted = await saloraIn(['predict', '--model', 'bert', '--adapter', 'number-adapter', '--quiet'], {
      cwd: place.root,
      input: 'A wonderful film.',
    })
    const model = await AutoModelForSequenceClassification.from_pretrained(at('number'), { dtype: 'fp32' })
    const tokenizer = await AutoTokenizer.from_pretrained(at('number'))
    const { logits } = (await model(await tokenizer('A wonderful film.'))) as { readonly logits: { readonly data: Float32Array } }
    expect(logits.data[0]).toBeCloseTo((JSON.parse(predicted.stdout) as { readonly value: number }).value, 5)
    await model.dispose()
    expect((await saloraIn([...args, 'merged', '--output', 'number-merged'], { cwd: place.root })).stderr).toBe('')
  })

  it('prints the files and the largest logit difference as one JSON document', async () => {
    const { code, stdout } = await saloraIn([...base(), '--format', 'merged', '--output', 'printed', '--json'], { cwd: place.root })
    const report = JSON.parse(stdout) as ExportReport
    expect(code).toBe(0)
    expect(report.files.map(({ name }) => name)).toEqual(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    expect(report.comparison).toMatchObject({ texts: 6 })
    expect(report.usage).toBe('AutoModelForSequenceClassification.from_pretrained("printed")')
    expect(report.comparison.largestLogitDifference).toBeLessThan(1e-5 * report.comparison.largestLogit)
  })

  it('writes a base with adapters as inputs, the adapter as a file beside it, and the program that opens both', async () => {
    const stdout = await written('stdout', '--format', 'transformers.js', '--adapter-inputs', '--max-rank', '4', '--output', at('inputs'))
    expect(stdout).toMatch(/\n {2}adapter\.safetensors .*\n {2}config\.json .*\n {2}onnx\/model\.onnx /)
    expect(stdout).toContain(
      `to use it: await withAdapter(await pipeline('text-classification', "@/inputs", { dtype: 'fp32' }), await readFile("@/inputs/adapter.safetensors"))\n`,
    )
    expect(Number(/over 6 texts: (\S+) /.exec(stdout)?.[1])).toBeLessThan(1e-4) // two orders of summation
    const file = await written('stdout', '--format', 'peft-file', '--output', at('file'))
    expect(file).toMatch(/^@\/file\n {2}adapter\.safetensors .*\nlargest logit difference over 6 texts: 0 /)

    const inputs = ['--format', 'transformers.js', '--adapter-inputs', '--output', at('none')]
    expect(await refused(...inputs, '--max-rank', '3')).toBe("--max-rank: expected at least 4, the adapter's largest rank, got 3\n")
    expect(await refused(...inputs, '--format', 'merged')).toBe('--adapter-inputs: expected --format transformers.js, got merged\n')
    expect(await refused('--format', 'transformers.js', '--max-rank', '3', '--output', at('none'))).toContain(
      '--max-rank: expected --adapter-inputs beside it, got none\n',
    )
  })

  it("refuses PEFT's layouts for a fully fine-tuned model in one line", async () => {
    await exported('bert', 'merged', 'whole')
    const before = await readdir(place.root)
    for (const format of ['peft', 'peft-padded'])
      expect(await refused('--adapter', at('whole'), '--format', format, '--output', at('none'))).toMatch(
        /^(--format|@\/whole).*: expected .*, got .*\n$/,
      )
    expect(await readdir(place.root)).toEqual(before)
    for (const format of ['merged', 'transformers.js'])
      expect(await written('stdout', '--adapter', at('whole'), '--format', format, '--output', at(`whole-${format}`))).toMatch(/^@\/whole-/)
  })

  it('leaves no files when the disk is full', async () => {
    const before = await readdir(place.root)
    const { code, stderr } = await salora([...base(), '--format', 'merged', '--output', 'cut'], { cwd: place.root, largestFile: 8 })
    expect(code).toBe(1)
    expect(stderr).toMatch(/model\.safetensors: expected to write the file, got .*\n$/)
    expect(await readdir(place.root)).toEqual(before)
  })
})
