/** The version of this package, which a browser cannot read from package.json. */
export const version = '0.2.0'
