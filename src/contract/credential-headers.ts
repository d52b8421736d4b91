/** The version of Anthropic's API in whose shapes it is asked here. Its own clients name the one that they speak. */
const anthropicVersion = "2023-06-01";

/**
 * The headers by which a kind of server knows who asks: a bearer token, or Anthropic's `x-api-key`, beside which its API
 * wants its version in every request.
 */
export function credentialHeaders(dialect: string, key: string | undefined): Readonly<Record<string, string>> {
  if (dialect === "anthropic") {
    return { "anthropic-version": anthropicVersion, ...(key === undefined ? {} : { "x-api-key": key }) };
  }
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}
