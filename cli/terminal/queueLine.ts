/** One line on the connection to Redis. */

/** One line for an outage, and one for its end. */
export const queueLine = ({ connected }: { readonly connected: boolean }): string =>
  connected ? 'Redis is reachable again' : 'Redis is unreachable: retrying; running runs continue'
