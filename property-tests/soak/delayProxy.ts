/** A TCP proxy that passes bytes on later, both ways, as a long line does. It has no bandwidth of its own. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

/** Passes chunks on after `delay` milliseconds, in their order. */
const delayed = (from: Socket, to: Socket, delay: number): void => {
  const pass = (chunk: Buffer): unknown => to.writable && to.write(chunk)
  from.on('data', (chunk: Buffer) => (delay > 0 ? setTimeout(pass, delay, chunk) : pass(chunk)))
  from.on('close', () => setTimeout(() => to.destroy(), delay))
  from.on('error', () => from.destroy())
}

/** @param delay milliseconds each way @returns its port on 127.0.0.1 */
export const openDelay = async (host: string, port: number, delay: number): Promise<{ readonly port: number; readonly server: Server }> => {
  const server = createServer((near) => {
    const far = connect({ host, port, noDelay: true })
    near.setNoDelay(true)
    delayed(near, far, delay)
    delayed(far, near, delay)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, server }
}
