// An OpenID Connect provider with one client, whose access tokens are JSON Web Tokens (RFC 9068).
// Arguments: port (0: any), algorithm. Prints {"issuer": …} once it listens.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "./issuer/node_modules/oidc-provider/lib/index.js";

const [port, algorithm] = process.argv.slice(2);
const kinds = {
  RS256: ["rsa", { modulusLength: 2048 }],
  PS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};

function jwk(name) {
  const { privateKey } = generateKeyPairSync(...kinds[name]);
  return { ...privateKey.export({ format: "jwk" }), kid: `key-${name}`, alg: name, use: "sig" };
}

let handle;
const server = createServer((request, response) => handle(request, response));
server.listen(Number(port), "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [...new Set(["RS256", algorithm])].map(jwk) },
    clients: [
      {
        client_id: "agents",
        client_secret: "only-for-this-test-0123456789abcdef",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ["inference:chat", "usage:read", "agents"],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          audience: resource,
          scope: "inference:chat usage:read agents",
          accessTokenFormat: "jwt",
          accessTokenTTL: 300,
          jwt: { sign: { alg: algorithm } },
        }),
      },
    },
  });
  handle = provider.callback();
  console.log(JSON.stringify({ issuer }));
});
