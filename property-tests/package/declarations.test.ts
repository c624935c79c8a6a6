/** The package's type declarations have no error of their own: a project without skipLibCheck compiles them too. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('declarations')

type Exports = Readonly<Record<string, string | { readonly types: string }>>

it('the declarations of every entry point compile without skipLibCheck', () => {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly exports: Exports }
  const entries = Object.values(exports).flatMap((one) => (typeof one === 'string' ? [] : [resolve(one.types)]))
  expect(entries).toHaveLength(5)
  const options = {
    ...{ target: 'ES2022', module: 'ESNext', moduleResolution: 'Bundler', lib: ['ES2023', 'DOM'], strict: true, noEmit: true },
    ...{ skipLibCheck: false, types: ['node'], typeRoots: [resolve('node_modules/@types')] },
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: entries }))
  const { stdout } = spawnSync(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
  expect(stdout).toBe('')
}, 120_000)
