/** Keeps the page's files, so that it opens and trains without a connection after its first load. */

/** The page's files and their common digest, from the build. runtime: files of ONNX Runtime, which are kept once they are used */
declare const pageFiles: { readonly version: string; readonly names: readonly string[]; readonly runtime: readonly string[] }

/** The build of ONNX Runtime that the processor uses here: see runtime.ts. */
const isForProcessor = (name: string): boolean => name.includes('.jspi.') === 'Suspending' in WebAssembly && !name.includes('.asyncify.')

type Waiting = Event & { readonly waitUntil: (work: Promise<unknown>) => void }
type Fetching = Event & { readonly request: Request; readonly respondWith: (response: Promise<Response>) => void }
const scope = self as unknown as {
  readonly skipWaiting: () => Promise<void>
  readonly clients: { readonly claim: () => Promise<void> }
  readonly addEventListener: ((kind: 'install' | 'activate', handle: (event: Waiting) => void) => void) &
    ((kind: 'fetch', handle: (event: Fetching) => void) => void)
}

const cacheName = `salora-page-${pageFiles.version}`

scope.addEventListener('install', (event: Waiting) => {
  event.waitUntil(
    (async () => {
      await (await caches.open(cacheName)).addAll([...pageFiles.names, ...pageFiles.runtime.filter(isForProcessor)])
      await scope.skipWaiting()
    })(),
  )
})

scope.addEventListener('activate', (event: Waiting) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name.startsWith('salora-page-') && name !== cacheName) await caches.delete(name)
      await scope.clients.claim()
    })(),
  )
})

scope.addEventListener('fetch', (event: Fetching) => {
  if (new URL(event.request.url).origin !== location.origin) return
  event.respondWith(
    (async () => {
      const cache = await caches.open(cacheName)
      const kept = await cache.match(event.request, { ignoreSearch: true })
      if (kept !== undefined) return kept
      const response = await fetch(event.request)
      if (response.ok && pageFiles.runtime.some((name) => event.request.url.endsWith(`/${name}`)))
        await cache.put(event.request, response.clone()).catch(() => undefined)
      return response
    })(),
  )
})
