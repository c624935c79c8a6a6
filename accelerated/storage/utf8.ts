/** Whether bytes are UTF-8, by Node. A browser's bundle has utf8InBrowser.ts in its place ("browser" in package.json). */
export { isUtf8 } from 'node:buffer'
