/** Nesting of a request's JSON beyond this is refused: no API needs it, and whoever walks over it could overflow. */
export const jsonDepthMax = 128;
