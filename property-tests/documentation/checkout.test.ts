/** A clone on Windows has the bytes of the repository, although Git for Windows converts line ends unless .gitattributes forbids it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('checkout')
const hasGit = spawnSync('git', ['--version']).status === 0

it.skipIf(!hasGit)('a file of text is checked out with its own line ends', () => {
  const git = (...args: readonly string[]) => execFileSync('git', ['-c', 'core.autocrlf=true', ...args], { cwd: folder, stdio: 'pipe' })
  git('init', '--quiet')
  copyFileSync('.gitattributes', join(folder, '.gitattributes'))
  const contents = { 'rows.tsv': 'a\tb\n', 'crlf.csv': 'a,b\r\n' }
  for (const [name, content] of Object.entries(contents)) write(name, content)
  git('add', '.')
  for (const name of Object.keys(contents)) rmSync(join(folder, name))
  git('checkout', '--', '.')
  for (const [name, content] of Object.entries(contents)) expect(readFileSync(join(folder, name), 'utf8')).toBe(content)
})
