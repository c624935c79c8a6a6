/** The built page on a server and Chromium, open while the tests of a file run. */
import { rm } from 'node:fs/promises'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.js'
import { pageAndData, served, type Served } from './browserRun.js'

type ServedPage = { readonly files: Awaited<ReturnType<typeof pageAndData>>; readonly server: Served; readonly browser: Browser }

/** @param switches of Chromium; without Chromium, nothing is opened @returns what is open, in tests and later hooks */
export const withServedPage = (...switches: readonly string[]): (() => ServedPage) => {
  let open: ServedPage | null = null
  beforeAll(async () => {
    if (!hasChromium) return
    const files = await pageAndData()
    open = { files, server: await served(files.page), browser: await launchChromium(...switches) }
  }, 60_000)
  afterAll(async () => {
    await open?.browser.close()
    open?.server.close()
    if (open !== null) await rm(open.files.root, { recursive: true })
  })
  return () => {
    if (open === null) throw new Error('withServedPage: expected an open page, got none')
    return open
  }
}
