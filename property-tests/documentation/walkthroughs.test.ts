/** Tutorials and how-to guides, followed block by block in an empty folder: files are saved, and commands run with small data and models. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { saloraIn } from '../cli/inProcess.js'
import { salora } from '../cli/spawnSalora.js'
import { tinyConfig, writeTinyModel } from '../cli/tinyModel.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { writeRandomCheckpoint } from '../support/randomCheckpoint.js'
import { codeBlocksOf, pagesBelow } from './pages.js'
import { saloraWords, shellCommands, shellLines } from './shellCommands.js'
import { smaller, walkthroughs, type Walkthrough } from './walkthroughs.js'

const root = mkdtempSync(join(tmpdir(), 'salora-walkthroughs-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const put = (folder: string, file: string, text: string): void => {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
}

const { vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size } = tinyConfig
const decoderConfig = {
  ...{
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size,
    hidden_size,
    num_hidden_layers,
    num_attention_heads,
    intermediate_size,
  },
  ...{ max_position_embeddings: 512, tie_word_embeddings: true, bos_token_id: 0, eos_token_id: 2 },
}

const chatTemplate =
  "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"

/** The folder in which a page starts. */
const prepare = async ({ page, files = {} }: Walkthrough): Promise<string> => {
  const folder = join(root, page.replaceAll('/', '-'))
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  symlinkSync(resolve('.'), join(folder, 'node_modules/salora'))
  await writeTinyModel(join(folder, 'encoder'))
  await writeRandomCheckpoint(join(folder, 'decoder'), decoderConfig, { seed: 1, shardBytes: 5e9 })
  const tokenizer = readFileSync(join(embeddedModel, 'tokenizer.json'), 'utf8')
  put(folder, 'decoder/tokenizer.json', tokenizer.replace(/"lstrip": ?true/, '"lstrip":false')) // a mask that takes blanks is no decoder's
  const tokens = JSON.parse(readFileSync(join(embeddedModel, 'tokenizer_config.json'), 'utf8')) as object
  put(folder, 'decoder/tokenizer_config.json', JSON.stringify({ ...tokens, chat_template: chatTemplate }))
  for (const [file, text] of Object.entries(files)) put(folder, file, text)
  return folder
}

const inSmall = (line: string, { replaced = [] }: Walkthrough): string =>
  [...replaced, ...smaller].reduce((text, [from, to]) => text.replace(from, to), line)

/** Runs a line. @returns what it printed */
const run = async (line: string, cwd: string, { inProcesses }: Walkthrough): Promise<string> => {
  let printed = ''
  for (const { words, input, output } of shellCommands(line)) {
    const command = saloraWords(words)
    if (command === null) {
      if (!['echo', 'printf'].includes(words[0] ?? '')) printed += execFileSync(words[0] ?? '', words.slice(1), { cwd, encoding: 'utf8' })
      continue
    }
    // a sweep or a search starts a process for each run
    const isProcess = inProcesses === true || ['glue', 'tune'].includes(command[0] ?? '')
    const { code, stdout, stderr } = await (isProcess ? salora : saloraIn)(command, { cwd, input })
    expect(code, `${line}\n${stderr}`).toBe(0)
    if (output !== undefined) put(cwd, output, stdout)
    printed += stdout
  }
  return printed
}

/** Runs the Node program of a code group. @returns what it printed */
const runProgram = (code: string, cwd: string, walkthrough: Walkthrough): string => {
  put(cwd, 'program.mjs', inSmall(code, walkthrough))
  return execFileSync(process.execPath, ['program.mjs'], { cwd, encoding: 'utf8' })
}

/** The file that the sentence before a block asks the reader to save. */
const savedAs = (markdown: string, line: number): string | undefined =>
  /Save (?:it|this) as `([^`]+)`[^`]*$/.exec(
    markdown
      .split('\n')
      .slice(0, line - 1)
      .join('\n')
      .slice(-200),
  )?.[1]

const shellLinesOf = (page: string): readonly string[] =>
  codeBlocksOf(page, readFileSync(page, 'utf8')).flatMap(({ language, code }) => (language === 'sh' ? shellLines(code) : []))

const reasonOf = (line: string, { notRun = {} }: Walkthrough): string | undefined =>
  Object.entries(notRun).find(([beginning]) => line.startsWith(beginning))?.[1]

describe('the documentation', () => {
  it('is followed page by page: every page with a shell block, except the generated reference', () => {
    const pages = pagesBelow('.').filter((page) => /^README\.md$|^docs\/(?!reference\/commands\.md)/.test(page))
    expect(walkthroughs.map(({ page }) => page).sort()).toEqual(pages.filter((page) => shellLinesOf(page).length > 0).sort())
  })

  it('has each command that is not run, and each text that is replaced', () => {
    const stale = walkthroughs.flatMap((walkthrough) => {
      const { page, notRun = {}, replaced = [] } = walkthrough
      const lines = shellLinesOf(page)
      return [
        ...Object.keys(notRun).filter((beginning) => !lines.some((line) => line.startsWith(beginning))),
        ...replaced.flatMap(([from]) => (lines.some((line) => line.includes(from)) ? [] : [from])),
      ].map((text) => `${page}: ${text}`)
    })
    expect(stale).toEqual([])
  })

  it.each(walkthroughs.filter(({ leaves, prints = [] }) => leaves.length + prints.length > 0))(
    'works word by word, with small data and models: $page',
    async (walkthrough) => {
      const { page, before = [], leaves, prints = [] } = walkthrough
      const folder = await prepare(walkthrough)
      for (const line of before) await run(inSmall(line, { page, leaves }), folder, walkthrough)
      const markdown = readFileSync(page, 'utf8')
      const untouched = `${folder}-before` // as the commands of a code group find the folder: its programs do the same
      let printed = ''
      for (const { language, info, code, line } of codeBlocksOf(page, markdown)) {
        const file = savedAs(markdown, line)
        if (file !== undefined && ['js', 'html', 'json'].includes(language)) put(folder, file, code)
        if (info === '[Command line]') rmSync(untouched, { recursive: true, force: true })
        if (info === '[Command line]') cpSync(folder, untouched, { recursive: true })
        if (info === '[Node]') printed += runProgram(code, untouched, walkthrough)
        if (language !== 'sh') continue
        for (const command of shellLines(code))
          if (reasonOf(command, walkthrough) === undefined) printed += await run(inSmall(command, walkthrough), folder, walkthrough)
      }
      for (const text of prints) expect(printed).toMatch(text)
      expect(leaves.filter((path) => !existsSync(join(folder, path)))).toEqual([])
    },
    300_000,
  )
})
