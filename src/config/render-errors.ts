import { type ErrorSpec, errorTable } from "../base/errors.ts";

/** `docs/reference/errors.md`, from the table of error codes. */
export function renderErrors(): string {
  const rows = Object.entries<ErrorSpec>(errorTable).map(
    ([code, { status, type, retryable, meaning }]) =>
      `| \`${code}\` | ${status} | \`${type}\` | ${retryable ? "yes" : "no"} | ${meaning} |`,
  );
  return `# Errors

Generated from the table in \`src/base/errors.ts\` by \`npm run schema\`.

Every error of the API has OpenAI's shape, so every OpenAI client raises it as its own:

\`\`\`json
{"error": {"message": "There is no model 'smolm2'. Close: 'smollm2-135m-instruct'.", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}}
\`\`\`

\`message\` says what to do, \`param\` names the field at fault, \`code\` never changes its meaning. Every answer carries
\`X-Request-Id\`, which finds the request in the logs. Where waiting helps, \`Retry-After\` says how long. In a stream that has
begun, the same object comes as an \`error\` event, and no \`[DONE]\` follows. What a service itself says about a request
(status 400 to 499) is passed on in this shape with the service's own code.

*Retry* says whether the same request may succeed later, or on another instance, without being changed.

| code | status | type | retry | meaning |
|---|---|---|---|---|
${rows.join("\n")}
`;
}
