import Foundation
import Signatures

/// An image's claim signed by keys of both kinds, made by OpenSSL 3.0.
public let signatureVectors: [(key: String, payload: String, signature: String)] = [
    (
        """
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEATqkmZfCksAJKOFBzM5MydgcS28hHvGx2hTteryF6w6Q=
        -----END PUBLIC KEY-----

        """,
        signedPayload,
        "xkhL9GEYsnQAjjFw4p7kTr9cp4JXfZnCpenqZxz0/M+ceiTPEzjqx5V7CSvKHOILKbsWmv5xH86PqERTRFL2Cg=="
    ),
    (
        """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhzu21DVuhzXwAVvyPWRDz1zg6CFd
        qK0kffoCF+9xDoWm5ZpqZyFAjbmunXSRHSp9+kOiH03iAHUhQWWbkHLQCQ==
        -----END PUBLIC KEY-----

        """,
        signedPayload,
        "MEUCIDdd7dVCzLFrsdfQUpTJQSUstfE9YvOvDYSO81CPB9avAiEA6DLOdNBtjc+0/l/A3N+o5yiKoD67NwWHjUwBnPI1fAs="
    ),
]

private let signedPayload =
    #"{"critical":{"identity":{"docker-reference":"registry.example/acme/firewall"},"#
    + #""image":{"docker-manifest-digest":"sha256:87ef60f558bad79beea6425a3b28989f01dd417164150ab3baab98dcbf04def8"},"#
    + #""type":"cosign container image signature"},"optional":null}"#

/// Asked in optimised builds too, which the fuzzers are.
private let areVectorsRight = signatureVectors.allSatisfy { vector in
    guard let key = try? VerifyingKey(pem: vector.key), let signature = Data(base64Encoded: vector.signature) else {
        return false
    }
    return key.verifies(Array(signature), of: Array(vector.payload.utf8))
        && !key.verifies(Array(signature), of: Array(vector.payload.utf8) + [0])
}

/// A policy with a rule of every kind.
public let examplePolicy = """
    {"rules": [
      {"names": ["registry.example/acme/*"], "at-least": 2, "identities": ["build.example/acme/firewall"], "keys": [
        {"name": "build", "pem": \(quoted(signatureVectors[0].key))},
        {"name": "release", "pem": \(quoted(signatureVectors[1].key))}]},
      {"names": ["localhost:5000/*"], "unsigned": "accept"},
      {"names": ["busybox"], "keys": [{"name": "one", "pem": \(quoted(signatureVectors[0].key))}]},
      {"names": ["*"], "unsigned": "refuse"}
    ]}
    """

private func quoted(_ text: String) -> String { "\"" + text.replacing("\n", with: "\\n") + "\"" }

/// Reads any bytes as a key, a signature, a claim, a list of signatures and a policy.
///
/// Whatever the bytes are, this returns; and nothing that was not signed is verified.
public func fuzzSignatures(_ bytes: [UInt8]) {
    precondition(areVectorsRight, "what OpenSSL signed is refused")
    let text = String(decoding: bytes, as: UTF8.self)
    if let key = try? VerifyingKey(pem: text) {
        precondition((try? VerifyingKey(pem: key.pem)) == key, "a key changed on its way")
    }
    _ = try? VerifyingKey(der: bytes)
    _ = try? SigningKey(pem: text)
    if let payload = try? SimpleSigningPayload(parsing: bytes) {
        precondition((try? SimpleSigningPayload(parsing: payload.bytes))?.digest == payload.digest, "a claim changed")
    }
    _ = try? SignatureManifest(parsing: bytes)
    guard let policy = try? SignaturePolicy(parsing: Array(examplePolicy.utf8), key: { _ in "" }) else {
        preconditionFailure("the example is refused")
    }
    let none = { (_: String) throws(SignatureError) -> String in throw SignatureError(.invalidKey, "there is no file") }
    _ = try? SignaturePolicy(parsing: bytes, key: none)
    guard let claim = try? SimpleSigningPayload(parsing: Array(signedPayload.utf8)) else { return }
    for payload in [bytes, Array(signedPayload.utf8)] {
        for signature in [bytes, [UInt8](bytes.prefix(64))] {
            let signatures = [ImageSignature(payload: payload, signature: signature)]
            let verdict = try? policy.judge(
                claim.digest, named: "registry.example/acme/firewall", signatures: signatures)
            precondition(verdict == nil, "two must have signed")
        }
    }
}
