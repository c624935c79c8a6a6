/** The first tutorial, followed block by block in an empty folder: its files are saved, its commands run, on a few training steps. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { codeBlocksOf } from './pages.js'

const page = 'docs/tutorials/first-classifier.md'
const folder = mkdtempSync(join(tmpdir(), 'salora-tutorial-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A command of the page, as this clone runs it: npm's are done by the link in node_modules, and training takes four steps. */
const runnable = (command: string): string | null => {
  if (/^npm /.test(command)) return null
  const built = command.replace(/\bnpx salora\b/, `'${process.execPath}' '${resolve('dist/cli/salora.js')}'`)
  return command.includes('salora train') ? built.replace(/--epochs \d+/, '--max-steps 4 --eval-steps 4 --batch-size 4') : built
}

it('The first tutorial works word by word: a CSV file, a run, a prediction, a report and an exported model', () => {
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(resolve('.'), join(folder, 'node_modules/salora'))
  const markdown = readFileSync(page, 'utf8')
  let printed = ''
  for (const { language, code, line } of codeBlocksOf(page, markdown)) {
    const before = markdown
      .split('\n')
      .slice(0, line - 1)
      .join('\n')
    const [, file] = /Save (?:it|this) as `([^`]+)`[^`]*$/.exec(before.slice(-200)) ?? []
    if (file !== undefined && (language === 'js' || language === 'html')) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), code)
    }
    if (language !== 'sh') continue
    for (const command of code.replaceAll('\\\n', ' ').trim().split('\n')) {
      const line = runnable(command)
      if (line !== null) printed += execFileSync('bash', ['-c', line], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    }
  }
  expect(printed).toContain('reviews.csv: 2379 rows')
  expect(printed).toMatch(/"label":"(positive|negative)"/)
  for (const file of ['reviews.csv', 'runs/reviews/adapter', 'report.html', 'page/index.html', 'page/model/onnx/model_quantized.onnx'])
    expect(existsSync(join(folder, file)), file).toBe(true)
}, 300_000)
