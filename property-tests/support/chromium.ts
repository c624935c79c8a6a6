/** A real Chromium, where this machine has one, and pages in it that remember whatever they complained of. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core'

const executable = [process.env['CHROMIUM'] ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => path !== '' && existsSync(path),
)

export const hasChromium = executable !== undefined

export const launchChromium = (...flags: readonly string[]): Promise<Browser> =>
  chromium.launch({ executablePath: executable ?? '', args: ['--no-sandbox', ...flags] })

/** WebGPU on SwiftShader, a graphics card that is a program on the processor: Chromium brings it. It has no `shader-f16`. */
export const softwareCard = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'] as const

export type OpenedPage = { readonly page: Page; readonly errors: readonly string[] }

/** A page that is open, what it said on the console, and of each of its requests what `complaintsOf` says. */
export const openPage = async (
  browser: Browser | null,
  url: string,
  options: BrowserContextOptions,
  complaintsOf: (request: Request) => readonly string[],
): Promise<OpenedPage> => {
  if (browser === null) throw new Error('expected a browser, got none')
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const errors: string[] = []
  page.on('console', (message) => errors.push(message.text()))
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('request', (request) => errors.push(...complaintsOf(request)))
  await page.goto(url)
  return { page, errors }
}

/** What axe-core finds wrong for people with a keyboard or a screen reader: rule and element. */
export const accessibilityProblems = async (page: Page): Promise<readonly string[]> => {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'))
  return page.evaluate<readonly string[]>(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => [id, target.join(' '), failureSummary].join(': '))))`)
}

/** The longest frame while the page scrolls from top to bottom, in milliseconds. */
export const longestFrame = (page: Page): Promise<number> =>
  page.evaluate<number>(`(async () => {
    let [most, last] = [0, performance.now()]
    for (let y = 0; y < document.documentElement.scrollHeight; y += 400) {
      scrollTo(0, y)
      await new Promise(requestAnimationFrame)
      most = Math.max(most, performance.now() - last)
      last = performance.now()
    }
    return most
  })()`)
