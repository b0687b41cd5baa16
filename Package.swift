// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// One module of the command line and control plane, in the folder of its wing.
func module(_ wing: String, _ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(wing)/\(name)", swiftSettings: settings)
}

/// The tests of one module.
func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: settings)
}

let agentProtocol = Target.Dependency.product(name: "AgentProtocol", package: "Guest")
let cLinux = Target.Dependency.product(name: "CLinux", package: "Monitor")
let fabricProtocol = Target.Dependency.product(name: "FabricProtocol", package: "Fabric")
let packets = Target.Dependency.product(name: "Packets", package: "Fabric")
let fileTransfer = Target.Dependency.product(name: "FileTransfer", package: "Guest")
let settingsFloppy = Target.Dependency.product(name: "SettingsFloppy", package: "Guest")
let linuxCalls = Target.Dependency.product(name: "LinuxCalls", package: "Monitor")
let wireFormats = Target.Dependency.product(name: "WireFormats", package: "Monitor")
let guestMemory = Target.Dependency.product(name: "GuestMemory", package: "Monitor")
let kvmHost = Target.Dependency.product(name: "KVMHost", package: "Monitor")
let machineConfiguration = Target.Dependency.product(name: "MachineConfiguration", package: "Monitor")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "swiftlet",
    products: [
        .executable(name: "swiftlet", targets: ["swiftlet"]),
        // For the fuzzers, which are a package of their own.
        .library(name: "ImageFixtures", targets: ["ImageFixtures"]),
    ],
    dependencies: [
        .package(path: "Monitor"),
        .package(path: "Guest"),
        .package(path: "Fabric"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        // What the HTTP client is made of, at the versions that it takes.
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
    ],
    targets: [
        module("System", "CodedErrors", []),
        module("System", "HostFiles", [cLinux, linuxCalls]),
        module("System", "JSONFields", [wireFormats]),
        module("System", "JSONValues", []),
        .target(name: "CSpawning", path: "Sources/System/CSpawning"),
        module("System", "ChildProcesses", ["CSpawning", linuxCalls]),
        .target(name: "CHashing", path: "Sources/Images/CHashing"),
        module("Images", "Archives", ["CHashing", "CCompression", "HostFiles", linuxCalls]),
        .systemLibrary(name: "CCompression", path: "Sources/Images/CCompression"),
        module("Images", "FileTrees", ["Archives", "HostFiles"]),
        module("Images", "VerityTree", ["Archives", "HostFiles"]),
        module("Images", "ErofsFormat", ["Archives", "CCompression", "FileTrees", "HostFiles", "VerityTree"]),
        module("Images", "Ext4Format", []),
        module("Images", "AppImages", ["Archives", "CodedErrors", "HostFiles"]),
        module("Images", "ImageLayers", ["Archives", "ErofsFormat", "FileTrees", "HostFiles"]),
        module("Images", "OCIImages", ["Archives", "FileTrees", "HostFiles"]),
        module(
            "Images", "ImageStore",
            [
                "Appliances", "Archives", "CodedErrors", "ErofsFormat", "FileTrees", "HostFiles", "ImageLayers",
                "JSONValues", "OCIImages", "VerityTree", linuxCalls,
            ]),
        module(
            "Images", "Registry",
            [
                "Archives", "ChildProcesses", "CodedErrors", "HostFiles", "JSONValues", asyncHTTPClient, nioCore,
                nioHTTP1,
                nioPosix, nioSSL, linuxCalls,
            ]),
        module(
            "Images", "ImageTransfer",
            ["Archives", "FileTrees", "HostFiles", "ImageStore", "OCIImages", "Registry", "Signatures", linuxCalls]),
        module("Images", "Signatures", ["Archives", "CodedErrors", "JSONFields", crypto, wireFormats]),
        module("Images", "Appliances", ["ApplianceSettings", "Archives", "CodedErrors", "JSONFields", wireFormats]),
        module(
            "Images", "ApplianceSettings",
            [
                "CodedErrors", "HostFiles", "JSONFields", agentProtocol, linuxCalls, settingsFloppy, wireFormats,
            ]),
        .target(
            name: "GuestKernels", dependencies: ["Archives", "ChildProcesses", "CodedErrors", "HostFiles", linuxCalls],
            path: "Sources/Images/GuestKernels",
            resources: [.embedInCode("x86_64/microvm.config")], swiftSettings: settings),
        module("Fabric", "Networks", ["CodedErrors", "HostFiles", agentProtocol, fabricProtocol, linuxCalls]),
        module("Control", "AgentClient", ["CodedErrors", agentProtocol, fileTransfer, linuxCalls]),
        module(
            "Control", "EmulatedHost",
            [
                "AgentClient", "ChildProcesses", "CodedErrors", agentProtocol, linuxCalls, wireFormats, guestMemory,
                kvmHost,
            ]),
        module(
            "Control", "Fleet",
            [
                "AgentClient", "Appliances", "ApplianceSettings", "ChildProcesses", "CSpawning", "EmulatedHost",
                "Ext4Format", "FileTrees", "ImageStore", "Networks", "OCIImages", "GuestKernels", "Archives",
                "CodedErrors",
                "HostFiles", "VerityTree",
                agentProtocol, fabricProtocol, machineConfiguration, linuxCalls,
                settingsFloppy, wireFormats,
            ]),
        .target(
            name: "Commands",
            dependencies: [
                "AppImages", "Fleet", "AgentClient", "ApplianceSettings", "Appliances", "Archives", "ChildProcesses",
                "CodedErrors", "EmulatedHost", "FileTrees",
                "ImageStore",
                "ImageTransfer", "Networks", "OCIImages", "GuestKernels", "HostFiles", "Registry", "Signatures",
                argumentParser,
                agentProtocol, fabricProtocol, linuxCalls, packets,
            ],
            swiftSettings: settings),
        .executableTarget(name: "swiftlet", dependencies: ["Commands"], swiftSettings: settings),
        tests("AgentClient", ["ImageFixtures", agentProtocol, linuxCalls]),
        tests(
            "Commands",
            ["AgentClient", "Fleet", "ImageStore", "Networks", agentProtocol, argumentParser, fabricProtocol]),
        tests(
            "Fleet",
            [
                "AgentClient", "ApplianceSettings", "Archives", "FileTrees", "HostFiles", "ImageStore", "OCIImages",
                "VerityTree", agentProtocol, machineConfiguration,
            ]
        ),
        tests("Archives", ["HostFiles", "ImageFixtures"]),
        tests("GuestKernels", ["Archives"]),
        tests("Networks", ["HostFiles", agentProtocol, fabricProtocol, linuxCalls]),
        tests("ChildProcesses", [linuxCalls]),
        tests("EmulatedHost", ["AgentClient", "ChildProcesses", agentProtocol, linuxCalls, wireFormats]),
        .target(
            name: "ImageFixtures",
            dependencies: [
                "AppImages", "ApplianceSettings", "Appliances", "Archives", "ErofsFormat", "Ext4Format", "FileTrees",
                "Fleet", "HostFiles", "ImageLayers", "OCIImages", "Signatures",
            ],
            path: "Tests/ImageFixtures", swiftSettings: settings),
        tests("ErofsFormat", ["Archives", "FileTrees", "HostFiles", "ImageFixtures"]),
        tests("VerityTree", ["Archives", "HostFiles", "ImageFixtures"]),
        tests("AppImages", ["Archives", "HostFiles", "ImageFixtures"]),
        tests("Ext4Format", ["ChildProcesses", "HostFiles", "ImageFixtures"]),
        tests("FileTrees", ["Archives", "HostFiles", "ImageFixtures"]),
        tests("OCIImages", ["Archives", "FileTrees", "HostFiles", "ImageFixtures"]),
        tests("ImageStore", ["Appliances", "Archives", "HostFiles", "ImageFixtures", "OCIImages", "VerityTree"]),
        tests(
            "ImageTransfer", ["Archives", "HostFiles", "ImageFixtures", "ImageStore", "OCIImages", "Signatures"]),
        tests(
            "Registry",
            ["Archives", "ChildProcesses", "CodedErrors", "HostFiles", "ImageFixtures", "JSONValues", linuxCalls]),
        tests("Signatures", ["Archives", "ImageFixtures"]),
        tests("Appliances", ["ApplianceSettings", "Archives", "ImageFixtures"]),
        tests("ApplianceSettings", ["HostFiles", "ImageFixtures", settingsFloppy]),
        // Whole guests, with everything that is above the monitor but the command line.
        .testTarget(
            name: "WholeGuestTests",
            dependencies: [
                "Fleet", "AgentClient", "Archives", "ChildProcesses", "EmulatedHost", "GuestKernels", "HostFiles",
                "ImageStore", "VerityTree", agentProtocol, linuxCalls,
            ],
            swiftSettings: settings),
    ]
)
