/** The page's own files: beside it on a server, or inside it where the page is one file that opens from a disk. */

/** By their paths, such as `model/config.json` and `runs/spam-lora-1/result.json`. */
export type PageFiles = ReadonlyMap<string, Blob>

let inside: PageFiles = new Map()

/** In a worker: the files inside of the page that made it. */
export const takeFiles = (files: PageFiles): void => {
  inside = files
}

/** The files inside of this page, each in an element with its path and its bytes in base64; none on a server. */
export const readInsideFiles = (): PageFiles => {
  const elements = [...document.querySelectorAll<HTMLScriptElement>('script[data-file]')]
  inside = new Map(elements.map(({ dataset, textContent }) => [dataset['file'] ?? '', new Blob([decode(textContent)])]))
  return inside
}

const decode = (base64: string): Uint8Array<ArrayBuffer> => {
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** @throws Error, in one line, if the server does not have it. The page itself loads nothing of salora/web, which is large. */
export const readFile = async (path: string): Promise<Blob> => {
  const file = inside.get(path)
  if (file !== undefined) return file
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path}: expected a file that can be downloaded, got status ${response.status}`)
  return response.blob()
}

/** Of files inside of the page: one each, since a browser keeps an address until the page closes. */
const addresses = new Map<string, string>()

/** An address from which a browser loads the file: beside the page, or of its bytes. */
export const fileAddress = (path: string): string => {
  const file = inside.get(path)
  if (file === undefined) return new URL(path, self.location.href).href
  const address = addresses.get(path) ?? URL.createObjectURL(new Blob([file], { type: typeOf(path) }))
  addresses.set(path, address)
  return address
}

const typeOf = (path: string): string => (path.endsWith('.wasm') ? 'application/wasm' : 'text/javascript')

/** The files of a folder inside of the page, by their names; none on a server. */
export const filesInside = (folder: string): PageFiles =>
  new Map([...inside].filter(([path]) => path.startsWith(`${folder}/`)).map(([path, file]) => [path.slice(folder.length + 1), file]))

/** Whether the page has its files inside. */
export const isOneFile = (): boolean => inside.size > 0

/** The page as one file with more files inside. @param html of the page as it was opened, without the visitor's doing */
export const addFiles = async (html: string, files: PageFiles): Promise<Blob> => {
  const elements = await Promise.all([...files].map(async ([path, file]) => fileElement(path, await encode(file))))
  const at = html.indexOf('<script type="module">') // the page's own, which comes first
  return new Blob([html.slice(0, at), ...elements, html.slice(at)], { type: 'text/html' })
}

const fileElement = (path: string, base64: string): string =>
  `<script type="text/plain" data-file="${path.replace(/[&"<>]/g, (c) => `&#${c.charCodeAt(0)};`)}">${base64}</script>\n`

const encode = (file: Blob): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ''))
    reader.onerror = () => reject(reader.error ?? new Error('encode: the file could not be read'))
    reader.readAsDataURL(file)
  })
