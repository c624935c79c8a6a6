/** salora generate: text as it is generated, answers to a file of prompts in order, and one line per error. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openGenerator } from '../../index.js'
import { fixtures } from '../golden/golden.js'
import { SEED } from '../support/seed.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraHere, saloraIn } from './inProcess.js'
import { writeWithout } from './writeWithout.js'

const model = join(fixtures, 'llama')
const { folder: root } = temporaryFolder('generate')

const file = async (name: string, content: string): Promise<string> => {
  await writeFile(join(root, name), content)
  return join(root, name)
}
const generate = (...args: readonly string[]) => saloraHere('generate', '--model', model, '--threads', '1', '--quiet', ...args)

/** `w7 w14` of golden tokens, whose special ones are not shown. */
const words = (tokens: readonly number[]): string =>
  tokens
    .filter((token) => token > 2)
    .map((token) => `w${token}`)
    .join(' ')

describe(`salora generate (seed ${SEED})`, () => {
  it('reads prompts from standard input as from a file', async () => {
    const lines = [{ prompt: 'w5 w6' }, { prompt: 'w7' }].map((row) => JSON.stringify(row)).join('\n')
    const read = (input: string | Uint8Array) =>
      saloraIn(['generate', '--model', model, '--threads', '1', '--quiet', '--max-new-tokens', '4', '--input', '-'], { cwd: root, input })
    const fromFile = await generate('--max-new-tokens', '4', '--input', await file('two.jsonl', lines))
    expect(fromFile.stdout.trim().split('\n').length).toBe(2)
    expect(await read(lines)).toEqual(fromFile)
    expect((await read('')).stderr).toBe('standard input: expected one prompt per line, as {"prompt": TEXT}, got none\n')
    expect((await read(Uint8Array.of(0x22, 0xff))).stderr).toBe('standard input: expected text in UTF-8, got bytes that are not\n')
  })

  it('prints the tokens that transformers generates, and stops after --max-new-tokens', async () => {
    const golden = JSON.parse(await readFile(join(model, 'generation.json'), 'utf8')) as {
      readonly prompts: readonly (readonly number[])[]
      readonly cases: readonly {
        readonly name: string
        readonly ends: readonly number[]
        readonly tokens: readonly (readonly number[])[]
      }[]
    }
    const folder = join(root, 'bare')
    await cp(model, folder, { recursive: true })
    const tokenizer = JSON.parse(await readFile(join(model, 'tokenizer.json'), 'utf8')) as object
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ ...tokenizer, post_processor: null })) // the golden prompts have no <s>
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as object
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, eos_token_id: null }))
    const greedy = golden.cases.find(({ name, ends }) => name === 'greedy' && ends.length === 0)
    const input = await file('golden.jsonl', golden.prompts.map((ids) => JSON.stringify({ prompt: words(ids) })).join('\n'))
    const { code, stdout, stderr } = await saloraHere('generate', '--model', folder, '--input', input, '--max-new-tokens', '14', '--quiet')
    expect([code, stderr]).toEqual([0, ''])
    const lines = jsonLines<{ readonly text: string }>(stdout)
    expect(lines).toEqual(
      golden.prompts.map((ids, i) => ({ prompt: words(ids), text: ` ${words(greedy?.tokens[i] ?? [])}`, tokens: 14, ended: 'length' })),
    )
  })

  it('says how to ask a model of conversations whose text ends at once', async () => {
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as object
    const of = (folder: string, ...args: readonly string[]) => saloraHere('generate', '--model', folder, '--threads', '1', ...args)
    /** Its end token is the first one that the model writes for this prompt. */
    const ending = async (name: string, ...args: readonly string[]): Promise<string> => {
      const first = /w(\d+)/.exec((await of(model, ...args, '--max-new-tokens', '1')).stdout)?.[1]
      await cp(model, join(root, name), { recursive: true })
      await writeFile(join(root, name, 'config.json'), JSON.stringify({ ...config, eos_token_id: Number(first) }))
      return (await of(join(root, name), ...args)).stderr
    }
    const remedy = /^1 token on .*\nthe model ended its text at once; if it was trained on conversations, add --prompt-template chat\n$/
    expect(await ending('plain', '--prompt', 'w7')).toMatch(remedy)
    expect(await ending('asked', '--prompt', 'w7', '--prompt-template', 'alpaca')).toMatch(/^1 token on .*\n$/)
    expect((await of(model, '--prompt', 'w7', '--max-new-tokens', '1')).stderr).toMatch(/^1 token on .*\n$/)
  })

  it('prints one answer as text, and with --json as a document', async () => {
    const args = ['--prompt', 'w8 w34', '--max-new-tokens', '5']
    const [text, json] = [await generate(...args), await generate(...args, '--json')]
    const document = JSON.parse(json.stdout) as { readonly text: string }
    expect(document).toEqual({ prompt: 'w8 w34', text: document.text, tokens: 5, ended: 'length' })
    expect(text.stdout).toBe(`${document.text}\n`)
    expect(text.code).toBe(0)
  })

  it('stops before the text of --stop', async () => {
    const complete = JSON.parse((await generate('--prompt', 'w8 w34', '--max-new-tokens', '9', '--json')).stdout) as {
      readonly text: string
    }
    const stop = complete.text.trim().split(' ')[3] ?? ''
    const cut = JSON.parse((await generate('--prompt', 'w8 w34', '--max-new-tokens', '9', '--json', '--stop', stop)).stdout) as object
    expect(cut).toMatchObject({ text: complete.text.slice(0, complete.text.indexOf(stop)), ended: 'stop' })
  })

  it('samples the same text with the same seed, and another text with another seed', async () => {
    const drawn = async (...more: readonly string[]) => (await generate('--prompt', 'w8', '--temperature', '3', ...more)).stdout
    const first = await drawn('--seed', '1')
    expect(await drawn('--seed', '1')).toBe(first)
    expect(await drawn('--seed', '2')).not.toBe(first)
  })

  it('prints answers in the order of the prompts, and stops at a signal', async () => {
    const generator = await openGenerator({ model, device: 'cpu', threads: 1 })
    try {
      const ids = ['w8 w34', 'w14', 'w11 w7'].map((text) => generator.encode({ text }, 'here'))
      const events = []
      for await (const event of generator.answers(ids, { maxNewTokens: 6 })) events.push(event)
      for (const prompt of [0, 1, 2]) {
        const ofPrompt = events.filter((event) => event.prompt === prompt)
        const pieces = ofPrompt.flatMap((event) => (event.kind === 'piece' ? [event.text] : []))
        expect(pieces.join('')).toBe(ofPrompt.find((event) => event.kind === 'answer')?.text)
      }
      const stop = new AbortController()
      const kinds = []
      for await (const event of generator.answers(ids, { maxNewTokens: 50 }, stop.signal)) {
        kinds.push(event.kind)
        stop.abort()
      }
      expect(kinds).not.toContain('answer')
    } finally {
      await generator.release()
    }
  })
})

describe('salora generate prints one line for', () => {
  it('a long row of a file', async () => {
    const { code, stderr } = await generate('--input', await file('long.jsonl', JSON.stringify({ prompt: 'w3 '.repeat(64) })))
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^[^\n]*long\.jsonl, line 1: expected a prompt of at most [^\n]*\n$/)])
  })

  it('a decoder without its output matrix', async () => {
    const folder = join(root, 'headless')
    await cp(model, folder, { recursive: true })
    await writeWithout(folder, 'lm_head.weight')
    const { code, stderr } = await saloraHere('generate', '--model', folder, '--prompt', 'w3')
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^[^\n]*headless: expected tensor lm_head\.weight \[50, 24\], got none[^\n]*\n$/),
    ])
  })
})
