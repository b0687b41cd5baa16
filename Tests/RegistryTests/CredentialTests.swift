import Foundation
import HostFiles
import ImageFixtures
import JSONValues
import Testing

@testable import Registry

@Suite struct CredentialTests {
    let scratch: ScratchFolder
    let store: CredentialStore
    private let user = Credential.password(user: "user", password: "pass:word")

    init() throws {
        scratch = try ScratchFolder()
        store = CredentialStore(environment: [
            "DOCKER_CONFIG": scratch.path, "HOME": "/nonexistent", "PATH": scratch.path + ":/usr/bin:/bin",
        ])
    }

    private func write(_ text: String) throws { try scratch.write("config.json", Array(text.utf8)) }

    @Test("the usual places are looked into")
    func places() {
        func files(_ environment: [String: String]) -> [String] {
            CredentialStore(environment: environment).files.map(\.description)
        }
        #expect(files(["REGISTRY_AUTH_FILE": "/a", "HOME": "/h"]) == ["/a"])
        #expect(
            files(["XDG_RUNTIME_DIR": "/r", "HOME": "/h"]) == ["/r/containers/auth.json", "/h/.docker/config.json"])
        #expect(files(["DOCKER_CONFIG": "/d", "HOME": "/h"]) == ["/d/config.json"])
        #expect(files([:]).isEmpty)
        #expect(
            CredentialStore(environment: ["XDG_RUNTIME_DIR": "/r", "HOME": "/h"]).loginFile?.description
                == "/h/.docker/config.json")
    }

    @Test("credentials are found as each program writes them")
    func forms() async throws {
        let auth = Data("user:pass:word".utf8).base64EncodedString()
        try write(
            """
            {"auths": {
              "https://index.docker.io/v1/": {"auth": "\(auth)"}, "ghcr.io": {"username": "user", "password": "pass:word"},
              "https://old.example/v2/": {"auth": "\(auth)"}, "id.example": {"auth": "\(auth)", "identitytoken": "I"},
              "r.example": {"registrytoken": "R"}, "r.example/team": {"auth": "\(auth)"}, "empty.example": {},
              "bad.example": {"auth": "%%%"}, "colon.example": {"auth": "\(Data("x".utf8).base64EncodedString())"}
            }}
            """)
        for registry in ["docker.io", "ghcr.io", "old.example"] {
            #expect(try await store.credential(for: registry) == user)
        }
        #expect(try await store.credential(for: "id.example") == .identityToken("I"))
        #expect(try await store.credential(for: "r.example", repository: "other/x") == .registryToken("R"))
        #expect(try await store.credential(for: "r.example", repository: "team/x") == user)
        for registry in ["empty.example", "bad.example", "colon.example", "unknown.example"] {
            #expect(try await store.credential(for: registry) == nil)
        }
    }

    @Test("what is stored is found, others' keys stay, and nobody else may read the file")
    func storing() async throws {
        try write(
            #"{"psFormat":"x/y","big":12345678901,"auths":{"other.example":{"auth":"b3RoZXI6eA=="}},"f":1.5,"n":null}"#)
        for registry in ["docker.io", "localhost:5000"] {
            #expect(try await store.store(user, for: registry) == scratch.appending("config.json"))
            #expect(try await store.credential(for: registry) == user)
        }
        let value = try #require(JSONValue(try readFile(scratch.appending("config.json"))))
        #expect(value["psFormat"] == .text("x/y"))
        #expect(value["big"] == .integer(12_345_678_901))
        #expect(value["f"] == .number(1.5) && value["n"] == .null)
        #expect(value["auths"]?["other.example"]?["auth"]?.text == "b3RoZXI6eA==")
        #expect(value["auths"]?["https://index.docker.io/v1/"] != nil)
        #expect(try HostPath(scratch.appending("config.json")).status().mode & 0o777 == 0o600)

        #expect(try await store.erase("docker.io"))
        #expect(try await store.credential(for: "docker.io") == nil)
        #expect(try await store.credential(for: "localhost:5000") == user)
        #expect(try await !store.erase("docker.io"))
    }

    @Test("the file and its folder are made where there are none, and a link to it stays one")
    func newFile() async throws {
        let fresh = CredentialStore(environment: ["HOME": scratch.appending("home")])
        try await fresh.store(user, for: "a.example")
        #expect(try await fresh.credential(for: "a.example") == user)
        #expect(try HostPath(scratch.appending("home/.docker")).status().mode & 0o777 == 0o700)
        try shell("echo '{}' > real.json; ln -s real.json config.json", in: scratch.path)
        try await store.store(user, for: "a.example")
        #expect(
            try String(decoding: HostPath(scratch.appending("config.json")).linkTarget(), as: UTF8.self) == "real.json")
        #expect(try await store.credential(for: "a.example") == user)
    }

    @Test("many who store at once lose nothing")
    func concurrent() async throws {
        let (store, user) = (store, user)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 { group.addTask { try await store.store(user, for: "r\(number).example") } }
            try await group.waitForAll()
        }
        for number in 0..<20 { #expect(try await store.credential(for: "r\(number).example") == user) }
    }

    @Test("a damaged file is told, not passed over")
    func damaged() async throws {
        for text in ["{", "[]", "nonsense", String(repeating: "[", count: 100_000)] {
            try write(text)
            for registry in ["docker.io"] {
                do {
                    _ = try await store.credential(for: registry)
                    Issue.record("there was no error")
                } catch {
                    #expect(error.code == .unusableCredentials)
                    #expect(error.message.contains(scratch.path))
                }
            }
        }
        try write("  \n")
        #expect(try await store.credential(for: "docker.io") == nil)
    }

    // MARK: - Programs that keep credentials

    /// One that keeps each server's in a file.
    private func installHelper() throws {
        try scratch.write(
            "docker-credential-box",
            Array(
                """
                #!/bin/sh
                cd "$(dirname "$0")"
                read -r line
                case $1 in
                get) f=$(echo "$line" | tr -c 'a-z.\\n' _)
                     if [ -e "box-$f" ]; then cat "box-$f"; else echo credentials not found in native keychain; exit 1; fi ;;
                store) cat > box-keep.example ;;
                erase) rm "box-$line" ;;
                esac
                """.utf8))
        try shell("chmod 755 docker-credential-box", in: scratch.path)
    }

    @Test("a program that keeps credentials is asked, given and made to forget")
    func helper() async throws {
        try installHelper()
        try scratch.write("box-a.example", Array(#"{"ServerURL":"a","Username":"user","Secret":"pass:word"}"#.utf8))
        try scratch.write("box-t.example", Array(#"{"Username":"<token>","Secret":"I"}"#.utf8))
        try write(#"{"credsStore":"box","auths":{"b.example":{"auth":"dXNlcjpwYXNzOndvcmQ="}}}"#)
        #expect(try await store.credential(for: "a.example") == user)
        #expect(try await store.credential(for: "t.example") == .identityToken("I"))
        #expect(try await store.credential(for: "b.example") == user)
        #expect(try await store.credential(for: "c.example") == nil)
        #expect(try await store.store(user, for: "keep.example") == "docker-credential-box")
        // The first line was read by the shell; the rest of what was given is in the file.
        let kept = String(decoding: try readFile(scratch.appending("box-keep.example")), as: UTF8.self)
        #expect(kept.contains(#""Secret" : "pass:word""#))
        #expect(try await store.erase("a.example"))
        #expect(try await store.credential(for: "a.example") == nil)
    }

    @Test("a program for one registry only is not asked for others")
    func helperForOne() async throws {
        try installHelper()
        try scratch.write("box-a.example", Array(#"{"Username":"user","Secret":"pass:word"}"#.utf8))
        try scratch.write("box-b.example", Array(#"{"Username":"user","Secret":"pass:word"}"#.utf8))
        try write(#"{"credHelpers":{"a.example":"box"}}"#)
        #expect(try await store.credential(for: "a.example") == user)
        #expect(try await store.credential(for: "b.example") == nil)
    }

    @Test(
        "a program that is missing, fails or answers nonsense is told", arguments: ["gone", "../box", "bad", "words"])
    func badHelper(name: String) async throws {
        try scratch.write("docker-credential-bad", Array("#!/bin/sh\necho locked\nexit 1\n".utf8))
        try scratch.write("docker-credential-words", Array("#!/bin/sh\necho hello\n".utf8))
        try shell("chmod 755 docker-credential-*", in: scratch.path)
        try write(#"{"credsStore":"\#(name)"}"#)
        do {
            _ = try await store.credential(for: "a.example")
            Issue.record("there was no error")
        } catch {
            #expect(error.code == .unusableCredentials)
            if name == "bad" { #expect(error.message.contains("locked")) }
        }
    }

    @Test("credentials never show their secret")
    func printing() {
        #expect("\(user)" == "the password of user")
        #expect(!"\(Credential.identityToken("SECRET")) \(Credential.registryToken("SECRET"))".contains("SECRET"))
        #expect(!String(reflecting: user).contains("word:") && !String(reflecting: user).contains("pass:word"))
    }
}
