import ApplianceSettings
import Archives
import ImageFixtures
import Testing

@testable import Appliances

@Suite struct ApplianceTests {
    @Test func `a description is read`() throws {
        let description = try ApplianceDescription(parsing: Array(exampleDescription.utf8))
        #expect(description.name == "firewall" && description.version == ApplianceVersion("1.4.2"))
        #expect(description.kind == .container && description.leastMemoryMebibytes == 64)
        #expect(description.command == ["/usr/sbin/route", "--all"] && description.environment == ["A=b"])
        #expect(description.user == "0:0" && description.workingDirectory == "/srv")
        #expect(description.apply == ["/usr/sbin/apply"] && description.kernelArguments == "quiet")
        #expect(description.interfaces.map(\.role) == ["outside", "inside", "dmz"])
        #expect(description.interfaces.map(\.isRequired) == [true, true, false])
        #expect(description.interfaces.map(\.isAddressedByProgram) == [false, true, false])
        #expect(
            description.health
                == .init(
                    command: ["/usr/sbin/check", "--all"], intervalMilliseconds: 5000, timeoutMilliseconds: 500,
                    retries: 2, startMilliseconds: 20000))
        #expect(try description.settings == SettingsSchema(parsing: Array(exampleSchema.utf8)))
    }

    @Test func `the least that a description says is enough`() throws {
        let text = #"{"name":"a","version":"1","type":"unikernel","architecture":"arm64","least-memory-mib":8}"#
        let description = try ApplianceDescription(parsing: Array(text.utf8))
        #expect(description.health == nil && description.settings == nil && description.interfaces.isEmpty)
    }

    @Test(arguments: [
        (#""version": "1.4.2""#, #""version": "1.04""#, "version"), (#""type": "container""#, #""type": "x""#, "type"),
        (#""amd64""#, #""mips""#, "architecture"), ("64,", "0,", "least-memory-mib"),
        (#""name": "lan""#, #""name": "wan""#, "interfaces.1.name"),
        (#""name": "lan""#, #""name": "a-name-of-sixteen""#, "interfaces.1.name"),
        (#""role": "dmz""#, #""role": "D M Z""#, "interfaces.2.role"),
        (#""retries": 2"#, #""retries": 0"#, "health.retries"),
        (#""interval": "5s""#, #""interval": "5""#, "health.interval"),
        (#"["/usr/sbin/check", "--all"]"#, "[]", "health.command"),
        (#""type": "port""#, #""type": "plug""#, "settings: the schema's fields.admin.fields.port.type"),
        (#""name": "firewall", "version": 3"#, #""name": "other", "version": 3"#, "settings.name"),
        (#"["A=b"]"#, #"["=b"]"#, "environment"), (#""/srv""#, #""srv""#, "working-directory"),
        (#"["/usr/sbin/apply"]"#, #"[""]"#, "apply"), (#""0:0""#, #""0 0""#, "user"),
        (#""least-memory-mib""#, #""most-memory-mib""#, "least-memory-mib"),
        (#""description": "Routes"#, #""extra": "Routes"#, "extra"),
    ])
    func `what is wrong in a description is refused with the field`(old: String, new: String, field: String) {
        let text = exampleDescription.replacing(old, with: new, maxReplacements: 1)
        #expect(text != exampleDescription)
        #expect { _ = try ApplianceDescription(parsing: Array(text.utf8)) } throws: { error in
            guard let error = error as? ApplianceError else { return false }
            return error.code == .invalid && error.message.contains(field)
        }
    }

    @Test func `manifests are written as they are read`() throws {
        let parts = (1...3).map {
            ApplianceManifest.Part(digest: SHA256.digest(of: [$0]), sizeBytes: UInt64($0) << 12)
        }
        let disk = ApplianceManifest.Disk(part: parts[1], rootHash: parts[0].digest, dataBlocks: 1)
        for kernel in [nil, parts[2]] {
            let manifest = ApplianceManifest(description: parts[0], disk: disk, kernel: kernel)
            #expect(try ApplianceManifest(parsing: manifest.bytes) == manifest)
        }
    }

    @Test(arguments: [
        ("", "not-an-appliance"), ("{}", "not-an-appliance"), (#"{"artifactType": 1}"#, "not-an-appliance"),
        (#"{"artifactType": "application/vnd.swiftlet.appliance.v1"}"#, "invalid"),
    ])
    func `other manifests are refused`(text: String, code: String) {
        #expect { _ = try ApplianceManifest(parsing: Array(text.utf8)) } throws: {
            ($0 as? ApplianceError)?.code.rawValue == "appliance.\(code)"
        }
    }

    @Test func `a manifest has one disk and at most one kernel`() throws {
        let part = ApplianceManifest.Part(digest: SHA256.digest(of: []), sizeBytes: 12288)
        let disk = ApplianceManifest.Disk(part: part, rootHash: part.digest, dataBlocks: 2)
        let text = String(decoding: ApplianceManifest(description: part, disk: disk, kernel: part).bytes, as: UTF8.self)
        for (old, new) in [
            (#"data-blocks":"2""#, #"data-blocks":"3""#), (#"data-blocks":"2""#, #"data-blocks":"0""#),
            (#"root-hash":"sha256:"#, #"root-hash":""#), (#""annotations""#, #""notes""#), (":12288", ":12289"),
            ("kernel.v1", "disk.v1.erofs"), ("disk.v1.erofs", "kernel.v1"), ("sha256:", "sha512:"),
            (#""size":1"#, #""size":-1"#), ("description.v1", "other.v1"),
        ] {
            let changed = text.replacing(old, with: new)
            #expect { _ = try ApplianceManifest(parsing: Array(changed.utf8)) } throws: {
                ($0 as? ApplianceError)?.code == .invalid
            }
        }
    }

    @Test func `versions are compared by their numbers`() {
        let versions = ["0", "0.9", "1", "1.2", "1.10", "1.10.0.1", "2"].map { ApplianceVersion($0) }
        #expect(!versions.contains(nil))
        for (earlier, later) in zip(versions, versions.dropFirst()) {
            if let earlier, let later { #expect(earlier < later) }
        }
        #expect(ApplianceVersion("1") == ApplianceVersion("1.0.0"))
        for text in ["", ".", "1.", "01", "1.2.3.4.5", "v1", "1-2", "-1", "4294967296", "١"] {
            #expect(ApplianceVersion(text) == nil, "\(text)")
        }
    }
}
